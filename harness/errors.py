"""What a person can get wrong, or a machine can lack, said in one message of a few lines."""


class HarnessError(Exception):
    """A mistake or a limit that is explained by its message alone, never by a traceback."""


class ConfigError(HarnessError):
    """A configuration that cannot start; names the key, the value found and what is allowed."""


class DataError(HarnessError):
    """A data file that is missing or damaged; names the file, what was found and what was expected."""


class WeightsError(HarnessError):
    """A weights file that cannot be read or belongs to another model; names both sides."""


class StoreError(HarnessError):
    """A results directory that cannot be used, or a record that this version cannot read."""


class LeaseError(HarnessError):
    """A directory of leases that cannot be used; names it, and what is wrong."""


class Unavailable(HarnessError):
    """Something that this machine or backend does not have; such a run is `skipped`, with the reason."""


class Diverged(HarnessError):
    """A training loss that is no longer finite; names the step."""


class ParityFailed(HarnessError):
    """A backend whose loss or gradients are too far from the reference; names the distance."""


class PartLost(Exception):
    """A process that a session computes in is gone; `code` is its exit status, negative for a signal."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
