"""Comparing stored runs: what is paired, what is said, what is refused, and how often it is right."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.report.compare.render import gate, render
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.comparisons import NUMPY, TORCH, Compared, Typed, scored
from tests.support.made import several, stored, timed

# what is said


def test_a_ratio_in_words_with_its_interval(harness_command: Shell, typed: Typed, results: Path) -> None:
    stored(results, *several(1220, TORCH), *several(1000, NUMPY))
    done = harness_command("compare", TORCH, NUMPY, "--results", str(results))
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[0]
    assert said.startswith("backend=torch is 1.2"), said
    assert said.endswith("]: faster")
    assert "times as fast as backend=numpy [1." in said
    assert "5 and 5 runs in 1 configuration." in done.stdout
    document = json.loads(typed(NUMPY, TORCH, "--format", "json")[1])
    assert document["verdict"] == "slower"
    assert document["low"] < document["estimate"] < document["high"] < 0.85
    assert document["sentence"].startswith("backend=numpy is 0.8")
    assert document["runs"] == [5, 5]


def test_configurations_are_compared_one_by_one_and_count_the_same(compared: Compared) -> None:
    found = compared(
        [
            *several(2000, TORCH, "cell=lstm"),
            *several(1000, NUMPY, "cell=lstm"),
            *several(900, TORCH, "cell=gru", seeds=2),
            *several(1800, NUMPY, "cell=gru"),
            timed(1, TORCH, "cell=indrnn"),
        ]
    )
    by_name = {part.label: part for part in found.parts}
    assert {name: part.verdict for name, part in by_name.items()} == {
        "cell=lstm": "faster",
        "cell=gru": "slower",
    }
    assert by_name["cell=gru"].runs == (2, 5)
    product = by_name["cell=lstm"].estimate * by_name["cell=gru"].estimate
    assert found.overall.estimate == pytest.approx(product**0.5), "the geometric mean"
    assert found.alone == ["1 run of backend=torch: cell=indrnn"]
    said = render(found, "md")
    assert "It depends on the configuration: faster in 1, slower in 1." in said
    assert "| cell=gru" in said


def test_one_run_a_side_cannot_tell_unless_it_is_forced(compared: Compared) -> None:
    runs = [timed(1500, TORCH), timed(1000, NUMPY)]
    found = compared(runs)
    assert found.overall.verdict == "cannot tell"
    assert found.overall.low > 1.4, "the windows alone would tell"
    assert "one run of a side says nothing" in render(found, "md")
    assert "python -m harness race" in render(found, "md"), "what may tell"
    assert not gate(found, 2.0).failed
    forced = compared([], force=True)
    assert forced.overall.verdict == "faster"
    assert "**Warning:** one run a side" in render(forced, "md")


def test_single_runs_of_several_configurations_are_drawn_as_such(compared: Compared) -> None:
    cells = ("lstm", "gru", "rnn", "indrnn", "sru")
    rates = np.random.default_rng(0).normal(1.3, 0.02, len(cells))
    found = compared(
        [
            *(timed(1000 * rate, TORCH, f"cell={cell}") for cell, rate in zip(cells, rates, strict=True)),
            *(timed(1000, NUMPY, f"cell={cell}") for cell in cells),
        ]
    )
    assert (found.overall.over, found.overall.verdict) == ("configurations", "faster")
    assert {part.verdict for part in found.parts} == {"cannot tell"}


def test_what_every_backend_computes_alike_counts_once(compared: Compared) -> None:
    """Three backends' accuracies of one seed are no three: neither seeds nor runs become more by them."""
    backends = ("numpy", "torch", "keras")
    gained = dict(enumerate((0.001, 0.004, 0.001, 0.0035)))

    def made(name: str, seeds: Sequence[int]) -> list[RunRecord]:
        own = f"backend={name}"
        return [
            scored(0.98 + gained[seed] * (cell == "gru"), own, f"cell={cell}", seed=seed)
            for cell in ("lstm", "gru")
            for seed in seeds
        ]

    gru, lstm = "cell=gru", "cell=lstm"
    one = compared([run for name in backends for run in made(name, [0])], gru, lstm, "test_accuracy")
    assert (one.overall.verdict, one.overall.runs) == ("cannot tell", (3, 3)), "a single seed"
    compared([run for name in backends for run in made(name, [1, 2, 3])], gru, lstm, "test_accuracy")
    every = compared([], gru, lstm, "test_accuracy")
    alone = compared([], gru, lstm, "test_accuracy", where=["backend=numpy"])
    assert every.overall.estimate == pytest.approx(alone.overall.estimate)
    width = every.overall.high - every.overall.low
    assert width == pytest.approx(alone.overall.high - alone.overall.low, rel=0.1)
    assert every.overall.runs == (12, 12)


def test_accuracy_is_a_difference_in_points_paired_by_seed(compared: Compared) -> None:
    """Seeds differ by more than the sides do: only pairs can tell."""
    levels = (0.90, 0.93, 0.96, 0.99)
    found = compared(
        [
            *(scored(level + 0.002 + 1e-4 * k, TORCH, seed=k) for k, level in enumerate(levels)),
            *(scored(level, NUMPY, seed=k) for k, level in enumerate(levels)),
            scored(0.1, NUMPY, seed=7),
        ],
        metric="test_accuracy",
    )
    assert found.overall.verdict == "higher"
    assert found.overall.estimate == pytest.approx(0.215)
    assert found.alone == ["1 run of backend=numpy: seed=7"]
    assert "is 0.215 points above that of backend=numpy [+0.1" in render(found, "md")
    loss = compared([], metric="test_loss")
    assert loss.overall.verdict == "lower"
    assert loss.overall.estimate == pytest.approx(-0.00215)


def test_repeating_a_seed_tells_nothing_new_about_accuracy(compared: Compared) -> None:
    again = [scored(0.95, TORCH, seed=0, start=k) for k in range(5)]
    found = compared([*again, scored(0.94, NUMPY, seed=0)], metric="test_accuracy")
    assert found.overall.runs == (1, 1)
    assert found.overall.verdict == "cannot tell"


def test_timings_are_paired_where_they_were_made_seed_by_seed(compared: Compared) -> None:
    """On a machine that gets slower and slower, by more than the sides differ."""
    drift = [1.0, 0.8, 0.6, 0.5, 0.4]
    last = {TORCH: (0, 1, 0, 1, 0), NUMPY: (1, 0, 1, 0, 1)}  # within each seed
    runs = [
        timed(rate * slow * (1 + 0.002 * k * (side == TORCH)), side, seed=k, start=2 * k + last[side][k])
        for side, rate in ((TORCH, 1050), (NUMPY, 1000))
        for k, slow in enumerate(drift)
    ]
    found = compared(runs)
    assert (found.overall.paired, found.overall.verdict) == (True, "faster")
    assert "paired by seed" in render(found, "md")
    for few in ("seed=0,1,2,3", "seed=0,1,2"):
        found = compared([], where=[few])
        assert (found.overall.paired, found.overall.verdict) == (True, "faster"), few
    two = compared([], where=["seed=0,1"])
    assert (two.overall.paired, two.overall.verdict) == (False, "cannot tell")


def test_timings_are_not_paired_where_one_side_always_came_first(compared: Compared) -> None:
    """A machine that gets slower and slower favours that side in every pair."""
    runs = [timed(1000 + k, TORCH, seed=k, start=2 * k) for k in range(5)]
    runs += [timed(1000 - k, NUMPY, seed=k, start=2 * k + 1) for k in range(5)]
    assert not compared(runs).overall.paired


def test_timings_of_one_side_after_the_other_are_not_paired(compared: Compared) -> None:
    runs = [timed(1000, TORCH, seed=k, start=k) for k in range(6)]
    runs += [timed(1000, NUMPY, seed=k, start=10 + k) for k in range(6)]
    assert not compared(runs).overall.paired


def test_seeds_of_their_own_are_compared_by_their_means(compared: Compared) -> None:
    found = compared(
        [
            *(scored(0.95 + 0.001 * k, TORCH, seed=k) for k in range(3)),
            *(scored(0.90 + 0.001 * k, NUMPY, seed=10 + k) for k in range(4)),
        ],
        metric="test_accuracy",
    )
    assert found.overall.runs == (3, 4)
    assert found.overall.verdict == "higher"


def test_seconds_and_memory_are_better_where_they_are_less(compared: Compared) -> None:
    runs = [
        replace(run, peak_memory_bytes=size * 1000 + run.seed, train_seconds=size + 0.1 * run.seed)
        for size, backend in ((1000, TORCH), (2000, NUMPY))
        for run in several(1000, backend, timing={})
    ]
    found = compared(runs, metric="train_seconds")
    assert found.overall.verdict == "faster"
    assert "backend=torch takes 0.500 times as long as backend=numpy" in render(found, "md")
    assert gate(found, 1.5).estimate == pytest.approx(2.0, rel=1e-3)
    assert not gate(found, 1.5).failed
    assert gate(found, 2.5).failed
    memory = compared([], metric="peak_memory_bytes")
    assert memory.overall.verdict == "lower"
    assert memory.overall.estimate == pytest.approx(0.5, rel=1e-3)


def test_attempts_at_the_same_run_are_runs_of_a_timing(compared: Compared) -> None:
    """As `sweep.rerun=all` leaves them: one key, several attempts."""
    again = [replace(timed(rate, TORCH, start=k), key="torch") for k, rate in enumerate((1220, 1210, 1230))]
    failed = replace(timed(5, TORCH, start=9), key="torch", status="crashed")
    found = compared([*again, failed, *several(1000, NUMPY)])
    assert found.overall.runs == (3, 5)
    assert found.overall.verdict == "faster"
    assert found.alone == []


# the gate


def test_a_gate_fails_only_where_the_whole_interval_lies_below(typed: Typed, results: Path) -> None:
    stored(results, *several(800, TORCH, spread=0.03), *several(1000, NUMPY, spread=0.03))
    found = json.loads(typed(TORCH, NUMPY, "--format=json")[1])
    within = (found["estimate"] + found["high"]) / 2
    for below, status in ((found["high"] * 1.01, 1), (within, 0), (found["low"] * 0.99, 0)):
        code, said, _ = typed(TORCH, NUMPY, f"--fail-below={below}")
        assert code == status, said
        assert f"--fail-below {below:g}: {'failed' if status else 'passed'}" in said


# what is refused
