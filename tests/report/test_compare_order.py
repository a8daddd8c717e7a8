"""Timings of which all of one side came before all of the other tell nothing; blocks keep drift out."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from harness.report.compare.order import WHY
from harness.store.record import RunRecord
from tests.bench.drift import DRIFTS, false_verdicts, sweep
from tests.support.comparisons import NUMPY, TORCH, Compared, Typed
from tests.support.made import stored, timed

CELLS = ("cell=gru", "cell=lstm")


def made(
    *places: tuple[str, int], cell: str = "cell=gru", first: int = 0, **fields: object
) -> list[RunRecord]:
    """Runs one after another, each by its backend and seed; PyTorch is faster by a fifth."""
    rate = {TORCH: 1200, NUMPY: 1000}
    return [
        timed(rate[side] + k % 5, side, cell, seed=seed, start=first + k, **fields)
        for k, (side, seed) in enumerate(places)
    ]


ONE_THEN_THE_OTHER = list(product((TORCH, NUMPY), range(5)))
IN_BLOCKS = [(side, seed) for seed in range(5) for side in ((TORCH, NUMPY), (NUMPY, TORCH))[seed % 2]]


def test_one_side_after_the_other_cannot_be_told(typed: Typed, results: Path) -> None:
    stored(results, *made(*ONE_THEN_THE_OTHER))
    code, said, _ = typed(TORCH, NUMPY)
    assert code == 0
    assert f": cannot tell ({WHY})" in said.splitlines()[0]
    assert "one sweep" in WHY
    assert "`python -m harness race`" in WHY
    assert "- made one side after the other: 2026-01-01 00:00 to 2026-01-01 00:00 in backend=torch;" in said
    code, said, _ = typed(NUMPY, TORCH, "--fail-below=0.95")
    assert code == 0
    assert f"passed: it cannot be told; {WHY}" in said
    found = json.loads(typed(TORCH, NUMPY, "--format=json")[1])
    assert (found["verdict"], found["why"]) == ("cannot tell", WHY)
    forced = typed(TORCH, NUMPY, "--force")[1]
    assert forced.startswith(f"**Warning:** {WHY}\n\nbackend=torch is 1.2")
    assert "]: faster" in forced


def test_blocks_and_any_other_mixture_can(compared: Compared) -> None:
    assert compared(made(*IN_BLOCKS)).overall.verdict == "faster"
    mixed = sorted(ONE_THEN_THE_OTHER[1:] + ONE_THEN_THE_OTHER[:1])
    assert compared(made(*mixed[:5], *IN_BLOCKS[:1], *mixed[5:])).overall.verdict == "faster"


def test_what_no_clock_measured_is_not_affected(compared: Compared) -> None:
    runs = [
        replace(run, test_accuracy=0.9 + 0.001 * run.seed - 0.1 * (run.backend == "numpy") + k % 3 / 1e4,
                peak_memory_bytes=int(run.train_throughput or 0) * 1000,
                seconds_to_target={"0.97": run.train_throughput})
        for k, run in enumerate(made(*ONE_THEN_THE_OTHER))
    ]  # fmt: skip
    assert compared(runs, metric="test_accuracy").overall.verdict == "higher"
    memory = compared([], metric="peak_memory_bytes")
    assert memory.overall.verdict == "higher"
    assert memory.notes[0].startswith("made one side after the other")
    assert compared([], metric="seconds_to_target.0.97").overall.why == WHY, "a timing, though paired by seed"


def test_each_configuration_is_looked_at_by_itself(compared: Compared) -> None:
    runs = [*made(*ONE_THEN_THE_OTHER, cell="cell=lstm"), *made(*IN_BLOCKS, first=20)]
    found = compared(runs)
    assert {part.label: part.why for part in found.parts} == {"cell=lstm": WHY, "cell=gru": ""}
    assert (found.overall.verdict, found.overall.why) == ("cannot tell", WHY)
    assert compared([], where=["cell=gru"]).overall.verdict == "faster"


@pytest.mark.parametrize(("in_turns", "verdict"), [(True, "faster"), (False, "cannot tell")])
def test_single_runs_of_several_configurations_are_looked_at_together(
    compared: Compared, in_turns: bool, verdict: str
) -> None:
    cells = ("cell=gru", "cell=lstm", "cell=rnn", "cell=sru")
    order = [(side, cell) for cell in cells for side in (TORCH, NUMPY)]
    runs = [
        run
        for k, (side, cell) in enumerate(order if in_turns else sorted(order))
        for run in made((side, 0), cell=cell, first=k)
    ]
    found = compared([replace(r, train_throughput=r.train_throughput + k) for k, r in enumerate(runs)])  # type: ignore[operator]
    assert found.overall.over == "configurations"
    assert found.overall.verdict == verdict
    assert found.overall.why == ("" if in_turns else WHY)


def test_what_a_block_does_to_all_configurations_counts_once(compared: Compared) -> None:
    """Three blocks that favour PyTorch by 10 %, 2 % and 6 % in all three cells: three pairs, not nine."""
    favour = (1.10, 1.02, 1.06)
    runs = [
        replace(run, train_throughput=1000 * (favour[seed] if side == TORCH else 1.0) + k, timing={})
        for seed in range(3)
        for k, cell in enumerate(("cell=gru", "cell=lstm", "cell=rnn"))
        for place, side in enumerate(((TORCH, NUMPY), (NUMPY, TORCH))[seed % 2])
        for run in made((side, seed), cell=cell, first=6 * seed + 2 * k + place)
    ]
    found = compared(runs)
    assert (found.overall.paired, found.overall.runs) == (True, (9, 9))
    assert found.overall.estimate == pytest.approx(1.06, abs=0.002)
    assert (found.overall.verdict, found.overall.why) == ("cannot tell", "")
    widths = [effect.high / effect.low for effect in (found.overall, found.parts[0])]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)


# how often it is wrong on a machine that drifts: small versions of `python -m tests.bench.drift`


def test_blocks_keep_drift_out_of_the_verdict() -> None:
    rng = np.random.default_rng(0)
    names = ("steady, 10 % in 5 minutes", "up and down, 20 % in 30 minutes", "random walk, 10 % in 5 minutes")
    made = [(sweep("blocks", count), DRIFTS[name]) for name in names for count in (3, 5, 10)]
    shares = [false_verdicts(runs, drift, rng, times=60) for runs, drift in made]
    assert max(np.mean(shares, axis=0)) <= 0.06, "on one cell, and over all of them"


def test_drift_fools_an_interval_over_runs_of_one_side_after_the_other() -> None:
    made, drift = sweep("given", 5), DRIFTS["steady, 20 % in 30 minutes"]
    one, whole = false_verdicts(made, drift, np.random.default_rng(0), times=100, force=True)
    assert one > 0.2
    assert whole > 0.5
    assert false_verdicts(made, drift, np.random.default_rng(0), times=20) == (0, 0), "so it is not asked"
