"""The error of the command `scaling`."""

from harness.errors import HarnessError


class ScalingError(HarnessError):
    """There is nothing to show, or a figure cannot be drawn."""
