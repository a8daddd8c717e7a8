"""Cores of their own for the shards of a session.

Woken processes often start on the core of the one that woke them, and two that share a core stay there for
tenths of a second.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

Cores = tuple[int, ...]


def cores_for(threads: Sequence[int]) -> list[Cores]:
    """As many cores for each shard as it has threads, where this thread may use exactly as many as there are
    threads, as in a run. Elsewhere none for any: other sessions would take the same ones while some are free.
    """
    allowed = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
    if len(threads) == 1 or len(allowed) != sum(threads):
        return [() for _ in threads]
    return [allowed[end - count : end] for end, count in zip(accumulate(threads), threads, strict=True)]


def pin(cores: Cores) -> None:
    """Keeps this thread on these cores from now on, if there are any."""
    if cores:
        os.sched_setaffinity(0, cores)


@contextmanager
def pinned(cores: Cores) -> Iterator[None]:
    """Keeps this thread on these cores for a while, if there are any."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    pin(cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
