"""What stands in the way of a comparison."""

from harness.errors import HarnessError


class CompareError(HarnessError):
    """Sides that cannot be found, or that it would be wrong to compare; says which, and what to do."""
