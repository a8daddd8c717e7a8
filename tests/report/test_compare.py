"""Comparing stored runs: what is paired, what is said, what is refused, and how often it is right."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.commands import cli
from harness.measure.bootstrap import DRAWS, Run, Stratum, interval
from harness.report.compare.errors import CompareError
from harness.report.compare.render import gate, render
from harness.report.compare.sides import find
from harness.report.compare.verdict import Comparison, compare
from harness.report.metrics import parse_metric
from harness.store.record import RunRecord
from tests.bench.coverage import coverage, right
from tests.conftest import ROOT, Shell
from tests.support.made import HERE, several, stored, timed

TORCH, NUMPY = "backend=torch", "backend=numpy"
Compared = Callable[..., Comparison]
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def compared(results: Path) -> Compared:
    """Stores records and compares two sides of them."""

    def call(
        records: Sequence[RunRecord],
        a: str = TORCH,
        b: str = NUMPY,
        metric: str = "train_throughput",
        *,
        where: Sequence[str] = (),
        force: bool = False,
    ) -> Comparison:
        stored(results, *records)
        return compare(*find(a, b, str(results), where), parse_metric(metric), force=force)

    return call


@pytest.fixture
def typed(results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """The command, in this process: its exit status, what it says and its errors."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["harness", "compare", *arguments, "--results", str(results)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


def scored(accuracy: float, *overrides: str, seed: int, start: int = 0) -> RunRecord:
    fields = {"test_accuracy": accuracy, "test_loss": 1 - accuracy, "start": start}
    return timed(1000, *overrides, seed=seed, **fields)


# what is said


def test_a_ratio_in_words_with_its_interval(harness_command: Shell, typed: Typed, results: Path) -> None:
    stored(results, *several(1220, TORCH), *several(1000, NUMPY))
    done = harness_command("compare", TORCH, NUMPY, "--results", str(results))
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[0]
    assert said.startswith("backend=torch is 1.2"), said
    assert said.endswith("]: faster")
    assert "times as fast as backend=numpy [1." in said
    assert "5 and 5 runs in 1 configuration, paired by seed." in done.stdout
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
    assert found.whole.estimate == pytest.approx(product**0.5), "the geometric mean"
    assert found.alone == ["1 run of backend=torch: cell=indrnn"]
    said = render(found, "md")
    assert "It depends on the configuration: faster in 1, slower in 1." in said
    assert "| cell=gru" in said


def test_one_run_a_side_cannot_tell_unless_it_is_forced(compared: Compared) -> None:
    runs = [timed(1500, TORCH), timed(1000, NUMPY)]
    found = compared(runs)
    assert found.whole.verdict == "cannot tell"
    assert found.whole.low > 1.4, "the windows alone would tell"
    assert "one run of a side says nothing" in render(found, "md")
    assert "python -m harness race" in render(found, "md"), "what may tell"
    assert not gate(found, 2.0).failed
    forced = compared([], force=True)
    assert forced.whole.verdict == "faster"
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
    assert (found.whole.over, found.whole.verdict) == ("configurations", "faster")
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
    assert (one.whole.verdict, one.whole.runs) == ("cannot tell", (3, 3)), "a single seed"
    compared([run for name in backends for run in made(name, [1, 2, 3])], gru, lstm, "test_accuracy")
    every = compared([], gru, lstm, "test_accuracy")
    alone = compared([], gru, lstm, "test_accuracy", where=["backend=numpy"])
    assert every.whole.estimate == pytest.approx(alone.whole.estimate)
    width = every.whole.high - every.whole.low
    assert width == pytest.approx(alone.whole.high - alone.whole.low, rel=0.1)
    assert every.whole.runs == (12, 12)


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
    assert found.whole.verdict == "higher"
    assert found.whole.estimate == pytest.approx(0.215)
    assert found.alone == ["1 run of backend=numpy: seed=7"]
    assert "is 0.215 points above that of backend=numpy [+0.1" in render(found, "md")
    loss = compared([], metric="test_loss")
    assert loss.whole.verdict == "lower"
    assert loss.whole.estimate == pytest.approx(-0.00215)


def test_repeating_a_seed_tells_nothing_new_about_accuracy(compared: Compared) -> None:
    again = [scored(0.95, TORCH, seed=0, start=k) for k in range(5)]
    found = compared([*again, scored(0.94, NUMPY, seed=0)], metric="test_accuracy")
    assert found.whole.runs == (1, 1)
    assert found.whole.verdict == "cannot tell"


def test_timings_are_paired_where_they_were_made_seed_by_seed(compared: Compared) -> None:
    """On a machine that gets slower and slower, by more than the sides differ."""
    drift = [1.0, 0.8, 0.6, 0.5, 0.4]
    runs = [timed(1050 * slow * (1 + 0.002 * k), TORCH, seed=k, start=2 * k) for k, slow in enumerate(drift)]
    runs += [timed(1000 * slow, NUMPY, seed=k, start=2 * k + 1) for k, slow in enumerate(drift)]
    found = compared(runs)
    assert (found.whole.paired, found.whole.verdict) == (True, "faster")
    assert "paired by seed" in render(found, "md")
    few = compared([], where=["seed=0,1,2,3"])
    assert (few.whole.paired, few.whole.verdict) == (False, "cannot tell")


def test_timings_of_one_side_after_the_other_are_not_paired(compared: Compared) -> None:
    runs = [timed(1000, TORCH, seed=k, start=k) for k in range(6)]
    runs += [timed(1000, NUMPY, seed=k, start=10 + k) for k in range(6)]
    assert not compared(runs).whole.paired


def test_seeds_of_their_own_are_compared_by_their_means(compared: Compared) -> None:
    found = compared(
        [
            *(scored(0.95 + 0.001 * k, TORCH, seed=k) for k in range(3)),
            *(scored(0.90 + 0.001 * k, NUMPY, seed=10 + k) for k in range(4)),
        ],
        metric="test_accuracy",
    )
    assert found.whole.runs == (3, 4)
    assert found.whole.verdict == "higher"


def test_seconds_and_memory_are_better_where_they_are_less(compared: Compared) -> None:
    runs = [
        replace(run, peak_memory_bytes=size * 1000 + run.seed, train_seconds=size + 0.1 * run.seed)
        for size, backend in ((1000, TORCH), (2000, NUMPY))
        for run in several(1000, backend, timing={})
    ]
    found = compared(runs, metric="train_seconds")
    assert found.whole.verdict == "faster"
    assert "backend=torch takes 0.500 times as long as backend=numpy" in render(found, "md")
    assert gate(found, 1.5).estimate == pytest.approx(2.0, rel=1e-3)
    assert not gate(found, 1.5).failed
    assert gate(found, 2.5).failed
    memory = compared([], metric="peak_memory_bytes")
    assert memory.whole.verdict == "lower"
    assert memory.whole.estimate == pytest.approx(0.5, rel=1e-3)


def test_attempts_at_the_same_run_are_runs_of_a_timing(compared: Compared) -> None:
    """As `sweep.rerun=all` leaves them: one key, several attempts."""
    again = [replace(timed(rate, TORCH, start=k), key="torch") for k, rate in enumerate((1220, 1210, 1230))]
    failed = replace(timed(5, TORCH, start=9), key="torch", status="crashed")
    found = compared([*again, failed, *several(1000, NUMPY)])
    assert found.whole.runs == (3, 5)
    assert found.whole.verdict == "faster"
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


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ({"overrides": ["threads=1"], "threads": 1}, "threads: 1 (5 runs) in backend=torch; 2 (5 runs) in"),
        ({"device_name": "Other CPU"}, "device_name: Other CPU (5 runs) in backend=torch"),
        ({"device": "cuda:0", "device_name": "GPU"}, "device: cuda (5 runs) in backend=torch"),
        ({"overrides": ["precision=float64"]}, "precision: float64 (5 runs) in backend=torch"),
        ({"overrides": ["cell.hidden=64"]}, "cell.hidden: 64 (5 runs) in backend=torch"),
        ({"overrides": ["model.layers=2"]}, "model.layers: 2 (5 runs) in backend=torch"),
        ({"overrides": ["data=digits"]}, "data.name: digits (5 runs) in backend=torch; mnist (5 runs)"),
        ({"overrides": ["sequence=column"]}, "sequence.name: column (5 runs) in backend=torch"),
        ({"overrides": ["train.batch_size=64"]}, "train.batch_size: 64 (5 runs) in backend=torch"),
        ({"contended": True}, "contended: others used the cores of 5 of 5 runs of backend=torch"),
    ],
)
def test_what_is_not_comparable_is_refused_and_shown_with_force(
    compared: Compared, ours: dict[str, object], said: str
) -> None:
    fields = dict(ours)
    overrides = fields.pop("overrides", [])
    runs = [*several(1220, TORCH, *overrides, **fields), *several(1000, NUMPY)]
    with pytest.raises(CompareError, match="--force shows it all the same") as refused:
        compared(runs)
    assert f"not comparable: {said}" in str(refused.value)
    forced = compared([], force=True)
    assert any(said in warning for warning in forced.warnings)
    assert forced.whole.verdict == "faster"
    assert f"**Warning:** {said}" in render(forced, "md")


def test_what_the_sides_vary_is_not_refused(compared: Compared) -> None:
    runs = [*several(1220, NUMPY, "cell.hidden=64"), *several(1000, NUMPY, "cell.hidden=128")]
    found = compared(runs, "hidden=64", "hidden=128")
    assert (found.whole.verdict, found.notes) == ("faster", [])


def test_others_on_the_cores_spoil_no_accuracy(compared: Compared) -> None:
    runs = [replace(scored(0.9 + 0.01 * k, TORCH, seed=k), contended=True, threads=1) for k in range(3)]
    runs += [scored(0.9 + 0.02 * k, NUMPY, seed=k) for k in range(3)]
    found = compared(runs, metric="test_accuracy")
    assert found.warnings == []
    assert found.notes == ["threads: 1 (3 runs) in backend=torch; 2 (3 runs) in backend=numpy"]


def test_a_run_that_failed_parity_is_refused_and_other_failures_are_counted(compared: Compared) -> None:
    wrong = replace(timed(1, TORCH, start=9), key="wrong", status="parity_failed", train_throughput=None)
    lost = replace(timed(1, NUMPY, start=9), key="lost", status="crashed", train_throughput=None)
    runs = [*several(1220, TORCH), *several(1000, NUMPY), lost]
    assert compared(runs).alone == ["1 run of backend=numpy: crashed"]
    with pytest.raises(CompareError, match="parity_failed: 1 run of backend=torch"):
        compared([wrong])


def test_keys_that_only_some_runs_know_part_nothing_that_is_alike(compared: Compared) -> None:
    """An option of one cell, a key that older runs did not have, GPUs of one kind."""
    ctrnn = "cell=ctrnn"
    ours, theirs = several(1220, TORCH, ctrnn), several(1000, NUMPY, ctrnn)
    older = [replace(run, config={**run.config, "model": {"layers": 1}}) for run in theirs]
    found = compared([*ours, timed(1, TORCH), *older])
    assert found.parts[0].runs == (5, 5)
    assert "model.readout: last (6 runs) in backend=torch; – (5 runs) in backend=numpy" in found.notes
    gpus = [replace(run, device=f"cuda:{run.seed % 2}", key=f"gpu{run.key}") for run in (*ours, *theirs)]
    assert compared(gpus, where=["device=cuda:0,cuda:1"]).whole.runs == (5, 5)


def test_windows_of_unknown_length_leave_the_runs_alone(compared: Compared) -> None:
    """As of a record that some other program has written."""
    a, b = (
        [replace(r, config={}) for r in several(rate, name)] for rate, name in ((1100, TORCH), (1000, NUMPY))
    )
    found = compared([*a, *b])
    assert found.whole.over == "runs"
    assert found.whole.verdict == "faster"


@pytest.mark.parametrize(
    ("timing", "wrong"),
    [
        ({"windows": [0.5]}, "timing.windows"),
        ({"windows": [{"seconds": 1.0}]}, "timing.windows"),
        ({"inference_windows": [{"sequences": 1, "seconds": 0}]}, "timing.inference_windows"),
        ({"latency_seconds": 0.1}, "timing.latency_seconds"),
        ({"step_latency_seconds": {"64": [0.1]}}, "timing.step_latency_seconds"),
    ],
)
def test_damaged_timings_name_their_record(
    typed: Typed, results: Path, timing: dict[str, object], wrong: str
) -> None:
    stored(results, *several(1000, TORCH), timed(1000, NUMPY, timing=timing))
    status, said, why = typed(TORCH, NUMPY)
    assert (status, said) == (2, "")
    assert str(results) in why
    assert f"record.json: not a whole record: {wrong} is of the wrong type" in why


def test_long_values_are_told_apart_to_their_end(compared: Compared) -> None:
    """Shown they are cut."""
    near, far = (f"weights=/home/someone/{'experiments/' * 6}{n}/weights.safetensors" for n in (1, 2))
    found = compared(
        [*several(1100, TORCH, near), *several(3000, TORCH, far), *several(1000, NUMPY, near)],
    )
    assert found.whole.runs == (5, 5)
    assert found.whole.estimate == pytest.approx(1.1, rel=0.05)
    (alone,) = found.alone
    assert alone.startswith("5 runs of backend=torch: weights=/home/someone/")
    assert len(alone) < 120


def test_configurations_are_named_by_few_keys_and_columns_first(compared: Compared) -> None:
    """A backend by its name, though it also has an engine, where others have none."""
    keras = "backend=keras"
    runs = [
        run
        for who in (TORCH, keras)
        for cell in ("lstm", "gru")
        for run in several(1000, who, f"cell={cell}")
    ]
    assert [part.label for part in compared(runs, "cell=lstm", "cell=gru").parts] == [
        "backend=torch",
        "backend=keras",
    ]
    runs += [
        run for cell in ("lstm", "gru") for run in several(1000, keras, "backend.engine=jax", f"cell={cell}")
    ]
    labels = [part.label for part in compared(runs, "cell=lstm", "cell=gru").parts]
    assert sorted(labels) == ["engine=jax", "engine=tensorflow", "engine=–"]


def test_a_ratio_is_shown_in_digits_that_tell_it(compared: Compared) -> None:
    found = compared([*several(1e-6, TORCH), *several(1000, NUMPY)])
    said = render(found, "md").splitlines()[0]
    assert found.metric.shown(found.whole.estimate) in said
    assert float(said.partition(" is ")[2].split()[0]) == pytest.approx(1e-9, rel=0.05)


def test_an_implementation_is_chosen_by_what_was_asked_for(compared: Compared) -> None:
    """Its column says what that became."""
    auto, fused, loop = (f"backend.implementation={name}" for name in ("auto", "fused", "loop"))
    torch = [
        *several(1000, TORCH, auto, implementation="fused"),
        *several(1010, TORCH, fused, implementation="fused"),
        *several(500, TORCH, loop, implementation="loop"),
    ]
    sides = "implementation=fused", "implementation=loop"
    with pytest.raises(CompareError) as refused:
        compared(torch, *sides)
    advised = str(refused.value).partition("choose one: ")[2]
    assert compared([], advised, sides[1]).whole.verdict == "faster"


def test_runs_of_which_nobody_knows_whether_they_were_disturbed_stay(compared: Compared) -> None:
    runs = [*several(1100, TORCH, contended=None), *several(1000, NUMPY, contended=None)]
    spoilt = timed(100, TORCH, seed=9, contended=True)
    with pytest.raises(CompareError) as refused:
        compared([*runs, spoilt])
    advised = str(refused.value).partition("--where ")[2].split("\n")[0]
    assert compared([], where=[advised]).whole.runs == (5, 5)


def test_timings_of_another_time_are_noted_as_such(compared: Compared) -> None:
    def at(day: int, *names: str) -> list[RunRecord]:
        return [
            replace(r, started=f"2026-01-0{day}T10:0{r.seed}:30+00:00")
            for name in names
            for r in several(1000 + day, name, parity_gradient=1e-7)
        ]

    runs = [*at(1, TORCH), *at(2, NUMPY)]
    assert compared(runs).notes == [
        "made one side after the other: 2026-01-01 10:00 to 2026-01-01 10:04 in backend=torch; "
        "2026-01-02 10:00 to 2026-01-02 10:04 in backend=numpy"
    ]
    assert compared([*runs, *at(3, TORCH)]).notes == []
    assert compared(runs, metric="parity_gradient").notes == []


def test_what_comes_with_a_cell_is_noted(compared: Compared) -> None:
    found = compared([*several(1220, "cell=lstm"), *several(1000, "cell=rnn")], "cell=lstm", "cell=rnn")
    assert found.whole.verdict == "faster"
    assert [note.split(":")[0] for note in found.notes] == ["train.clip_norm", "train.learning_rate"]
    assert "race" not in render(found, "md"), "nothing is left to tell"


def test_runs_that_never_differ_show_nothing_of_chance(compared: Compared) -> None:
    runs = [scored(0.9, TORCH, seed=k) for k in range(3)] + [scored(0.8, NUMPY, seed=k) for k in range(3)]
    found = compared(runs, metric="test_accuracy")
    assert found.whole.verdict == "cannot tell"
    assert "nothing deviates from run to run" in found.whole.why
    assert "race" not in render(found, "md"), "which times training"


def test_the_same_figures_are_said_to_be_the_same(compared: Compared) -> None:
    runs = [scored(0.9 + k / 100, side, seed=k) for side in (TORCH, NUMPY) for k in range(3)]
    found = compared(runs, metric="test_accuracy").whole
    assert (found.verdict, found.why) == ("cannot tell", "the figures of both sides are the same")


def test_a_side_of_several_kinds_has_to_choose(compared: Compared) -> None:
    keras = [
        *several(800, "backend=keras", "backend.engine=tensorflow"),
        *several(700, "backend=keras", "backend.engine=jax"),
    ]
    with pytest.raises(CompareError, match=r"differ in engine \(jax, tensorflow\).*backend=keras,engine=jax"):
        compared([*several(1220, TORCH), *keras], TORCH, "backend=keras")


def test_nothing_alike_says_what_differs(compared: Compared) -> None:
    runs = [
        *(timed(1, TORCH, f"train.epochs={n}", f"train.learning_rate={r}") for n, r in ((1, 0.1), (2, 0.2))),
        *(timed(1, NUMPY, f"train.epochs={n}", f"train.learning_rate={r}") for n, r in ((1, 0.2), (2, 0.1))),
    ]
    with pytest.raises(
        CompareError, match=r"the closest two differ in train\.epochs: \d in backend=torch, \d in"
    ):
        compared(runs)


# sides


def test_directories_urls_and_revisions_are_sides(compared: Compared, tmp_path: Path, results: Path) -> None:
    before = stored(tmp_path / "before", *several(1000, TORCH))
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    after = several(1220, TORCH, environment={**HERE, "git_revision": head})
    after = [replace(run, key=f"after {run.key}") for run in after]
    found = compared(after, str(results), str(before))
    assert found.whole.verdict == "faster"
    assert found.notes == [f"harness at: {head} in {results}; {'a' * 40} in {before}"]
    assert compared([], "HEAD", before.as_uri()).whole.verdict == "faster"
    stored(results, *several(1000, TORCH))
    for revision in ("HEAD", "rev:HEAD", head, head[:9]):
        assert compared([], revision, "rev:aaaaaaa").whole.estimate == pytest.approx(1.22, abs=0.03)
    with pytest.raises(CompareError, match="have 5 runs in common"):
        compared([], "backend=torch", "HEAD")


def test_a_name_that_is_two_things_is_refused(
    typed: Typed, tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(results, *several(1000, TORCH))
    monkeypatch.chdir(tmp_path)
    for text, names in (("HEAD", "a directory and a revision"), (TORCH, "a filter and a directory")):
        Path(text).mkdir()
        code, _, error = typed(text, NUMPY)
        assert code == 2
        assert f"{text}: is {names}; say ./{text} for the directory" in error


def test_uncommitted_changes_are_another_revision(compared: Compared) -> None:
    runs = several(1000, TORCH, environment={**HERE, "git_revision": "b" * 40 + "+"})
    with pytest.raises(CompareError, match=rf"with uncommitted changes: rev:{'b' * 40}\+"):
        compared(runs, "rev:bbbb", TORCH)
    with pytest.raises(CompareError, match="the same runs"):
        compared([], "rev:bbbb+", TORCH)


# bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((TORCH, "backend=keras"), "backend=keras: no runs"),
        ((TORCH, NUMPY, "--where", "cell=sru"), "backend=torch: no runs where cell=sru"),
        ((TORCH, TORCH), "have the same runs"),
        (("bakend=torch", NUMPY), "'bakend' is no column; did you mean backend?"),
        (("nowhere", NUMPY), "nowhere: is no filter (COLUMN=VALUE), no results directory or URL"),
        (("./nowhere", NUMPY), "nowhere: no such results directory"),
        (("rev:cccccc", NUMPY), "cccccc: is no filter"),
        ((TORCH, NUMPY, "--metric", "kernel"), "--metric: 'kernel' is no number that runs measure"),
        ((TORCH, NUMPY, "--metric", "hidden"), "--metric: 'hidden' is no number that runs measure"),
        ((TORCH, NUMPY, "--metric", "test_accuracy"), "backend=torch: no ok run has a test_accuracy (ok 1)"),
        ((TORCH, NUMPY, "--format", "csv"), "--format 'csv': must be one of md, json"),
        ((TORCH, NUMPY, "--fail-below", "nan"), "--fail-below nan: must be a number"),
        (("~nobody-is-called-so/x", NUMPY), "~nobody-is-called-so/x: no such results directory"),
        (("a" * 300, NUMPY), "is no filter (COLUMN=VALUE), no results directory or URL"),
    ],
)
def test_bad_input_is_one_clear_message(
    typed: Typed, results: Path, arguments: Sequence[str], said: str
) -> None:
    stored(results, timed(1000, TORCH), timed(1000, NUMPY, start=1))
    code, out, error = typed(*arguments)
    assert (code, out) == (2, "")
    assert said in error


def test_no_results_yet_and_records_of_a_newer_version(typed: Typed, results: Path) -> None:
    code, _, error = typed(TORCH, NUMPY)
    assert code == 2
    assert "no such results directory; a run makes it" in error
    stored(results, replace(timed(5000, TORCH, start=9), key="newer", schema=99))
    code, _, error = typed(TORCH, NUMPY)
    assert code == 2
    assert f"no runs in {results}" in error
    stored(results, *several(1220, TORCH), *several(1000, NUMPY))
    code, said, error = typed(TORCH, NUMPY)
    assert code == 0
    assert "schema 99 is unknown to this version" in error
    assert "5 and 5 runs" in said


# how often it is right


def bare(values: Sequence[float], moves: float = 0.0) -> list[Run]:
    rng = np.random.default_rng(0)
    return [Run(float(value), moves * rng.standard_normal(DRAWS)) for value in values]


def test_few_runs_are_covered_as_often_as_is_said() -> None:
    """Where the percentiles of a bootstrap are too narrow."""
    rng = np.random.default_rng(0)
    for count in (2, 5):
        ours, percentiles = coverage(count, 300, lambda rng, n: rng.standard_normal(n), rng)
        assert ours > 0.92, count
        assert percentiles < ours - 0.02, count


def test_the_same_runs_cannot_be_told_apart_and_a_twentieth_can() -> None:
    """A small version of `python -m tests.bench.coverage`, on simulated runs."""
    rng = np.random.default_rng(2)
    noise = [bare(0.01 * rng.standard_normal(10), moves=0.004) for _ in range(2)]
    twins = list(zip(*noise, strict=True))
    for paired in (False, True):
        assert right(twins, 300, 1.0, rng, paired=paired) > 0.92
        assert right(twins, 100, 1.05, rng, paired=paired) > 0.9


def test_an_interval_is_never_narrower_than_the_windows_alone() -> None:
    rng = np.random.default_rng(0)
    alike = Stratum(bare([0.0, 1e-9, 2e-9]), bare([0.0, 1e-9, 2e-9]))
    noisy = Stratum(bare([0.0, 1e-9, 2e-9], moves=0.1), bare([0.0, 1e-9, 2e-9], moves=0.1))
    assert interval([alike], rng).error < 1e-8
    assert interval([noisy], rng).error == pytest.approx(0.1 * (2 / 3) ** 0.5, rel=0.1)
    spread = Stratum(bare([-1.0, 0.0, 1.0], moves=0.7), bare([-1.0, 0.0, 1.0], moves=0.7))
    assert interval([spread], rng).error == pytest.approx((2 / 3) ** 0.5, rel=0.05), "windows count once"


def test_the_same_runs_give_the_same_interval(compared: Compared) -> None:
    runs = [*several(1220, TORCH), *several(1000, NUMPY)]
    assert compared(runs).whole == compared([]).whole
