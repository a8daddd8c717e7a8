"""The status with which an error that a person can mend ends a run."""

from harness import errors

STATUSES: dict[type[Exception], str] = {
    errors.Unavailable: "skipped",
    errors.Diverged: "diverged",
    errors.ParityFailed: "parity_failed",
}


def status_of(error: errors.HarnessError) -> str:
    """One of `harness.store.statuses.STATUSES`."""
    return STATUSES.get(type(error), "failed")
