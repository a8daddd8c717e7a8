"""Results in directories and at URLs of a test's own, and the user's cache beside them."""

from datetime import datetime
from pathlib import Path

from harness.measure.clock import now
from harness.store import attempts
from harness.store.record import RunRecord


def stored(root: str | Path, found: RunRecord, when: datetime | None = None) -> RunRecord:
    return attempts.store(found, root, attempts.new_attempt(root, found.key, when or now()))


def files(place: Path) -> set[str]:
    """What lies below a directory, locks aside."""
    found = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(".lock")}
