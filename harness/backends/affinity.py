"""A core for every shard of a session.

Woken processes often start on the core of the one that woke them, and two that share a core stay there for
tenths of a second.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def cores_for(shards: int) -> list[int | None]:
    """A core for each shard, where this thread may use exactly as many, as in a run; elsewhere None for each,
    since other sessions would take the same cores while others are free."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return list(allowed) if len(allowed) == shards > 1 else [None] * shards


def pin(core: int | None) -> None:
    """Keeps this thread on a core from now on."""
    if core is not None:
        os.sched_setaffinity(0, [core])


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Keeps this thread on a core for a while."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    pin(core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
