"""The clock: the only module that imports `time`."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

T = TypeVar("T")


def seconds() -> float:
    """Monotonic seconds from a start that all processes of the machine share (Linux, macOS)."""
    return time.perf_counter()


def cpu_seconds() -> float:
    """Processor seconds that all threads of this process have used."""
    return time.process_time()


def sleep(seconds: float) -> None:
    """Lets the calling thread wait."""
    time.sleep(seconds)


def now() -> datetime:
    """The date and time in UTC, for names and records. Never for durations: the system may set it back."""
    return datetime.now(UTC)


class Synchronizable(Protocol):
    """What computes on a device, as a session does."""

    def synchronize(self) -> None:
        """Waits until the device is idle."""


def timed(session: Synchronizable, work: Callable[[], T]) -> tuple[T, float]:
    """What `work` returns and the seconds it took, the device idle at both ends."""
    session.synchronize()
    start = seconds()
    result = work()
    session.synchronize()
    return result, seconds() - start
