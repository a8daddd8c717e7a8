"""A run's windows: the interval of their median, the fastest of them; and many verdicts at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from harness.measure import statistics
from harness.measure.statistics import (
    FEWEST_IN_BLOCKS,
    block_length,
    estimate,
    holm,
    resample_blocks,
    undisturbed,
)
from tests.bench import order_statistics

RNG_SEEDS = range(200)


def windows(seed: int, n: int = 100, memory: float = statistics.AUTOCORRELATION) -> np.ndarray:
    """Rates (n,) around 100 whose neighbours are alike."""
    noise = np.random.default_rng(seed).standard_normal(n + 50)
    return 100 + lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise)[50:]


def test_the_interval_covers_the_median_of_windows_whose_neighbours_are_alike() -> None:
    """Order statistics, which take windows for independent, cover it far less often than they say."""
    ours = [estimate(windows(seed)) for seed in RNG_SEEDS]
    theirs = [order_statistics.estimate(windows(seed)) for seed in RNG_SEEDS]
    assert np.mean([one.low <= 100 <= one.high for one in ours]) > 0.9
    assert np.mean([one.low <= 100 <= one.high for one in theirs]) < 0.85
    assert {one.coverage for one in ours} == {0.95}


def test_few_windows_give_their_whole_range() -> None:
    assert estimate([3, 1, 2])[:] == (2, 1, 3, 0.75)
    assert estimate([5.0]) == (5, 5, 5, 0)
    few = windows(0, FEWEST_IN_BLOCKS - 1)
    assert (estimate(few).low, estimate(few).high) == (few.min(), few.max())
    with pytest.raises(ValueError, match="no samples"):
        estimate([])


@settings(max_examples=20)
@given(st.lists(st.floats(1, 1e6), min_size=FEWEST_IN_BLOCKS, max_size=60))
def test_the_interval_lies_within_the_windows_and_is_the_same_every_time(rates: list[float]) -> None:
    found = estimate(rates)
    assert min(rates) <= found.low <= found.median <= found.high <= max(rates)
    assert estimate(rates) == found


def test_many_windows_are_resampled_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = estimate(windows(1, 40))
    monkeypatch.setattr(statistics, "CHUNK", 7 * 40)
    assert estimate(windows(1, 40)) == pytest.approx(whole, rel=2e-3)


@pytest.mark.parametrize(("n", "length"), [(2, 1), (7, 1), (12, 3), (20, 5), (140, 10), (640, 16)])
def test_blocks_are_as_long_as_windows_remember_and_four_at_least(n: int, length: int) -> None:
    assert block_length(n) == length
    (drawn,) = resample_blocks(np.arange(float(n)), 1, np.random.default_rng(0))
    assert len(drawn) == n
    within = [k for k in range(1, n) if k % length]
    assert all(drawn[k] == drawn[k - 1] + 1 for k in within), "neighbours stay neighbours"


def test_the_undisturbed_speed_is_the_mean_of_the_five_fastest_windows() -> None:
    rates = [100.0] * 16 + [106.0, 108.0, 110.0, 112.0, 114.0]
    assert undisturbed(rates) == {"train_throughput_best": 110, "unsteady": False}
    assert undisturbed([*rates, 120.0]) == {"train_throughput_best": pytest.approx(112.8), "unsteady": True}
    assert undisturbed(rates[-19:]) == {"train_throughput_best": None, "unsteady": None}
    assert undisturbed(rates[-20:])["train_throughput_best"] == 110


def test_holm_multiplies_the_smallest_p_value_the_most() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.04]) == [0.04]
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
