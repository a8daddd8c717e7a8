"""The clock. Only here is it read, and only the runner and the launcher ask for it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from harness.backends.base import Session

T = TypeVar("T")


def seconds() -> float:
    """Monotonic seconds from a start that all processes of the machine share (Linux, macOS)."""
    return time.perf_counter()


def now() -> datetime:
    """The time of day, for names and records, never for durations."""
    return datetime.now(UTC)


def timed(session: "Session", work: Callable[[], T]) -> tuple[T, float]:
    """What `work` returns and the seconds it took, the device idle at both ends."""
    session.synchronize()
    start = seconds()
    result = work()
    session.synchronize()
    return result, seconds() - start
