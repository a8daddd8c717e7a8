"""The interval that the benchmarks print is that of order statistics."""

import numpy as np
import pytest

from tests.bench.order_statistics import estimate


def test_the_interval_of_a_median_is_that_of_order_statistics() -> None:
    """Against the tables of David and Nagaraja: for n = 20 the 6th and 15th values, coverage 0.9586."""
    figure = estimate(range(1, 21))
    assert (figure.median, figure.low, figure.high) == (10.5, 6, 15)
    assert figure.coverage == pytest.approx(0.9586, abs=1e-4)


def test_few_windows_say_how_little_they_cover() -> None:
    assert estimate([3, 1, 2])[1:] == (1, 3, 0.75)
    assert estimate([5.0]) == (5, 5, 5, 0)
    assert estimate(range(6)).coverage > 0.95


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for n in (7, 12, 40):
        figures = [estimate(rng.lognormal(size=n)) for _ in range(2000)]
        hits = np.mean([f.low <= 1.0 <= f.high for f in figures])
        assert hits == pytest.approx(figures[0].coverage, abs=0.02)
        assert hits > 0.94
