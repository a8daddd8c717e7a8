"""Leases: a run has the cores and the GPU that it is timed on to itself.

One lock file per core and per GPU, in a directory that all users of the machine share. A CPU quota has one
for each of its whole cores, of which a run holds as many as it has cores. The system drops a lock when its
holder dies, so nothing stale is left behind.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from harness.errors import LeaseError
from harness.measure import quota
from harness.measure.clock import sleep
from harness.measure.devices import core_count, visible_gpu
from harness.measure.directories import expand_user
from harness.measure.machine import cores

PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Lease:
    """What a run holds: core numbers, and a GPU's name or None."""

    cores: tuple[int, ...]
    gpu: str | None


def directory() -> Path:
    """Where the locks lie: `$HARNESS_LEASES`, else below the system's temporary directory.

    Raises LeaseError where it cannot be made, ConfigError for a `~` that is nobody's home.
    """
    default = Path(tempfile.gettempdir()) / "harness-leases"
    path = expand_user(os.environ.get("HARNESS_LEASES") or default, "HARNESS_LEASES")
    try:
        path.mkdir(parents=True, exist_ok=True)
        if path.stat().st_uid == os.getuid():
            path.chmod(0o1777)
    except OSError as error:
        raise _unusable(path, error) from error
    return path


def _unusable(path: Path, error: OSError | NotImplementedError) -> LeaseError:
    reason = getattr(error, "strerror", None) or error
    return LeaseError(
        f"leases: {path} cannot be used ({reason}); set HARNESS_LEASES to a directory, the same "
        "for all who measure on this machine, in which they can write"
    )


@contextmanager
def lease(count: int, gpus: Sequence[str], waiting: Callable[[str], None]) -> Iterator[Lease]:
    """Holds `count` cores and, if any are named, one of `gpus`; waits, asleep, until they are free.

    All or nothing: what is held while something else is missing is given back before the next try,
    so two runs never wait for one another. `waiting(text)` is called when it has to wait. Raises LeaseError
    where locks cannot be had.
    """
    waited = False
    # a lost GPU ends in its child
    named = {found.lock if (found := visible_gpu(name)) else name: name for name in gpus}
    while True:
        with ExitStack() as locks:
            taken = _take("core", map(str, cores()), count, locks)
            shares = [
                _take(f"quota-{limit.identity}", map(str, range(limit.whole_cores)), count, locks)
                for limit in quota.quotas()
            ]
            enough = all(len(part) == count for part in (taken, *shares))
            gpu = _take("gpu", named, 1, locks) if gpus and enough else []
            if enough and (gpu or not gpus):
                yield Lease(tuple(int(core) for core in taken), named[gpu[0]] if gpu else None)
                return
        if not waited:
            what = f"{count} of {core_count()} cores" + (" and a GPU" if gpus else "")
            waiting(f"waiting for {what}: another run holds them")
            waited = True
        sleep(PAUSE_SECONDS)


def _take(kind: str, names: Iterable[str], count: int, locks: ExitStack) -> list[str]:
    taken: list[str] = []
    for name in names:
        if len(taken) == count:
            break
        path = directory() / f"{kind}-{quote(name, safe='')}.lock"
        lock = FileLock(path, mode=0o666)
        try:
            locks.enter_context(lock.acquire(timeout=0))
        except Timeout:
            continue
        except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
            raise _unusable(path, error) from error
        taken.append(name)
    return taken
