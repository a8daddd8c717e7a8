"""Two sides of stored runs, as tests of comparisons need them."""

from collections.abc import Callable

from harness.report.compare.verdict import Comparison
from harness.store.record import RunRecord
from tests.support.made import timed

TORCH, NUMPY = "backend=torch", "backend=numpy"
Compared = Callable[..., Comparison]
Typed = Callable[..., tuple[int, str, str]]


def scored(accuracy: float, *overrides: str, seed: int, start: int = 0) -> RunRecord:
    fields = {"test_accuracy": accuracy, "test_loss": 1 - accuracy, "start": start}
    return timed(1000, *overrides, seed=seed, **fields)
