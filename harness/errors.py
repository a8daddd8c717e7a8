"""Errors that a message explains without a traceback: a mistake of the user, or a limit of the machine."""


class HarnessError(Exception):
    """The base class: shown as its message alone."""


class ConfigError(HarnessError):
    """An invalid configuration; names the key, its value and what is allowed."""


class DataError(HarnessError):
    """A missing or damaged data file; names the file, what was found and what was expected."""


class WeightsError(HarnessError):
    """A weights file that cannot be read or belongs to another model; names both sides."""


class StoreError(HarnessError):
    """A results directory that cannot be used, or a record that this version cannot read."""


class LeaseError(HarnessError):
    """A lease directory that cannot be used; names the directory and the reason."""


class Unavailable(HarnessError):
    """Something that this machine or backend does not have; the run is `skipped`, with the reason."""


class Diverged(HarnessError):
    """A training loss that is no longer finite; names the step."""


class ParityFailed(HarnessError):
    """A backend whose loss or gradients are too far from the reference; names the distance."""


class CompareError(HarnessError):
    """Sides that cannot be found, or that it would be wrong to compare; says which, and what to do."""


class ScalingError(HarnessError):
    """Runs of `mode=throughput` that make no line, or a figure of them that cannot be drawn."""


class WorkerDied(Exception):
    """A process in which a session computes has ended; `code` is its exit status, negative for a signal."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
