"""Limits that a test of damaged files holds: how much memory, how many cases."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, Phase, settings

MIB = 2**20


def cases(count: int) -> settings:
    """The same so many in every call: with seeds of chance a rare failure would meet only one of us."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """Within it, Python and NumPy never hold more than so many bytes more."""
    tracemalloc.start()
    try:
        yield
        grown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert grown <= limit, f"{grown:,} bytes, not {limit:,}"
