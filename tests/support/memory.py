"""How much memory a test of damaged files allows."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

MIB = 2**20


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
