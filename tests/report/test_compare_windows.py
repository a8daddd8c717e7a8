"""Comparing the fastest windows, runs whose speed changed, and many configurations at once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import CompareError
from harness.report.compare.render import render
from harness.store.record import RunRecord
from tests.support.comparisons import NUMPY, TORCH, Compared, Typed
from tests.support.made import of_windows, stored, timed

BEST = "train_throughput_best"
QUICK, SLOW = 1000.0, 700.0


def run(rates: list[float], *overrides: str, seed: int) -> RunRecord:
    """A run of such windows, all a little faster the higher its seed is."""
    return timed(1, *overrides, seed=seed, **of_windows([rate * (1 + 0.002 * seed) for rate in rates]))


def runs(rates: list[float], *overrides: str) -> list[RunRecord]:
    return [run(rates, *overrides, seed=seed) for seed in range(3)]


def test_the_fastest_are_those_of_equally_many_windows(compared: Compared) -> None:
    """A side that ran for longer has more chances of a fast window, and none by them."""
    early = [QUICK - k for k in range(25)]
    found = compared([*runs(early, TORCH), *runs(early + [1200.0] * 25, NUMPY)], metric=BEST)
    assert found.overall.estimate == pytest.approx(1)
    assert (found.overall.a, found.overall.b) == pytest.approx((1000, 1000), rel=0.005)
    assert "Of the first 25 windows of each run: equally many on both sides." in render(found, "md")
    assert compared([], metric="train_throughput").overall.estimate == pytest.approx(0.9, abs=0.02)


def test_the_median_and_the_fastest_windows_may_say_different_things(typed: Typed, results: Path) -> None:
    """As a side that starts fast and falls to a lower speed for most of the run."""
    falling, steady = [QUICK] * 6 + [SLOW] * 24, [1000.0] * 30
    stored(results, *runs(falling, TORCH), *runs(steady, NUMPY))
    median, best = (
        json.loads(typed(TORCH, NUMPY, "--metric", name, "--format=json")[1])
        for name in ("train_throughput", BEST)
    )
    assert (median["estimate"], median["verdict"]) == (pytest.approx(0.7), "slower")
    assert (best["estimate"], best["verdict"]) == (pytest.approx(1), "cannot tell")
    said = "Unsteady: 3 of 3 runs of backend=torch, whose fastest windows"
    assert all(any(remark.startswith(said) for remark in each["remarks"]) for each in (median, best))
    assert "numpy" not in " ".join(median["remarks"])


def test_windows_of_another_length_are_not_compared(compared: Compared) -> None:
    shorter = runs([QUICK] * 30, TORCH, "measure.window_seconds=0.1")
    with pytest.raises(CompareError, match=r"not comparable: measure.window_seconds: 0\.1 .*; 0\.5 "):
        compared([*shorter, *runs([QUICK] * 30, NUMPY)], metric=BEST)
    assert compared([], metric="train_throughput").notes


def test_a_figure_without_its_windows_is_not_compared(compared: Compared) -> None:
    bare = [replace(one, timing={}) for one in runs([QUICK] * 30, TORCH)]
    with pytest.raises(CompareError, match="has a train_throughput_best without the windows"):
        compared([*bare, *runs([QUICK] * 30, NUMPY)], metric=BEST)


def test_many_configurations_do_not_make_a_false_verdict_likely(compared: Compared) -> None:
    """One of four that is ahead as chance has it once in fifty is told alone, and not among the others."""
    noise = (0.97, 0.98, 1.0, 1.02, 1.03)
    cells = {"lstm": 1.045, "gru": 1.0, "rnn": 1.0, "indrnn": 1.0}
    found = compared(
        [
            timed(1, side, f"cell={cell}", seed=10 * k + n, start=2 * n + k, timing={},
                  train_throughput=1000 * ahead * each)
            for cell, lead in cells.items()
            for k, (side, ahead) in enumerate(((TORCH, lead), (NUMPY, 1.0)))
            for n, each in enumerate(noise)
        ]
    )  # fmt: skip
    (lstm,) = (part for part in found.parts if part.label == "cell=lstm")
    assert lstm.low > 1, "by its own interval"
    assert 0.05 < lstm.p_value < 0.25
    assert lstm.verdict == "cannot tell"
    assert "The verdicts on 4 configurations are corrected for their number (Holm)" in render(found, "md")
    alone = compared([], where=["cell=lstm"])
    assert alone.overall.verdict == alone.parts[0].verdict == "faster"
    assert "Holm" not in render(alone, "md")
