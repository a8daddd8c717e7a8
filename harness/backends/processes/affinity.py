"""Cores for every shard of a session.

Woken processes often start on the core of the one that woke them, and two that share a core stay there for
tenths of a second.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np


def cores_for(threads: Sequence[int]) -> list[Sequence[int] | None]:
    """As many cores as it has threads for each shard, where this thread may use exactly as many in all, as in
    a run; elsewhere None for each, since other sessions would take the same cores while others are free."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(threads) < 2 or len(allowed) != sum(threads):
        return [None] * len(threads)
    ends = np.cumsum(threads).tolist()
    return [allowed[end - count : end] for end, count in zip(ends, threads, strict=True)]


def pin(cores: Sequence[int] | None) -> None:
    """Keeps this thread on some cores from now on."""
    if cores is not None:
        os.sched_setaffinity(0, cores)


@contextmanager
def pinned(cores: Sequence[int] | None) -> Iterator[None]:
    """Keeps this thread on some cores for a while."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    pin(cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
