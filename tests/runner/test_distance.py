"""Distances from the reference and their limits."""

import numpy as np
import pytest

from harness.runner.parity.distance import LIMITS, distance, limit_here
from harness.runner.parity.predictions import rows


def test_a_distance_is_relative_and_never_hides_what_is_no_number() -> None:
    one = np.array([3.0, 4.0])
    assert distance(one * 1.5, one) == pytest.approx(0.5)
    assert distance(one * 1.5, one, allowance=1.0) == pytest.approx(0.3)
    assert distance(one, one, allowance=1.0) == 0
    assert distance(one, 0 * one) == np.inf
    assert distance(0 * one, 0 * one) == 0
    for wrong in (np.nan, np.inf):
        assert distance(np.array([3.0, wrong]), one) == np.inf


@pytest.mark.parametrize(
    ("precision", "found", "in_float32", "expected"),
    [
        ("float32", 1e-5, 1.0, 1e-4),  # within it: what float32 does is not asked
        ("float32", 1e-3, 1e-6, 1e-4),  # float32 is far better
        ("float32", 1e-3, 5e-4, 5e-3),  # float32 can no better
        ("float32", np.inf, 1e-6, 1e-4),
        ("float32", np.inf, np.inf, np.inf),  # any session diverges
        ("bfloat16", np.inf, 1e-6, 0.2),
        ("float64", np.inf, np.inf, np.inf),
        ("float64", 1e-3, 5e-4, 1e-7),
        ("bfloat16", 0.5, 5e-4, 0.2),
        ("float16", 0.5, 5e-4, 0.05),
    ],
)
def test_rounding_that_no_float32_session_escapes_moves_the_limit(
    precision: str, found: float, in_float32: float, expected: float
) -> None:
    limit = limit_here(LIMITS, precision, found, lambda: in_float32)
    assert limit == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 10_000])
def test_the_sequences_that_are_compared_are_spread_over_all(count: int) -> None:
    chosen = rows(count)
    assert len(set(chosen.tolist())) == len(chosen) == min(count, 256)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
