"""What a comparison refuses, notes and pairs, and how often its verdict is right."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import CompareError
from harness.measure.bootstrap import DRAWS, ResampledRun, Stratum, estimate_difference
from harness.report.compare.render import render
from harness.store.record import RunRecord
from tests.bench.coverage import coverage, right
from tests.conftest import ROOT
from tests.support.comparisons import NUMPY, TORCH, Compared, Typed, scored
from tests.support.made import HERE, several, stored, timed


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
        (
            {"environment": {"variables": {"MALLOC_ARENA_MAX": "1"}}},
            "variables: MALLOC_ARENA_MAX=1 (5 runs) in backend=torch; – (5 runs) in backend=numpy",
        ),
        ({"contended": True}, "contended: 5 of 5 runs of backend=torch without the cores to itself"),
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
    assert forced.overall.verdict == "faster"
    assert f"**Warning:** {said}" in render(forced, "md")


def test_what_the_sides_vary_is_not_refused(compared: Compared) -> None:
    runs = [*several(1220, NUMPY, "cell.hidden=64"), *several(1000, NUMPY, "cell.hidden=128")]
    found = compared(runs, "hidden=64", "hidden=128")
    assert (found.overall.verdict, found.notes) == ("faster", [])


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
    assert compared(gpus, where=["device=cuda:0,cuda:1"]).overall.runs == (5, 5)


def test_windows_of_unknown_length_leave_the_runs_alone(compared: Compared) -> None:
    """As of a record that some other program has written."""
    a, b = (
        [replace(r, config={}) for r in several(rate, name)] for rate, name in ((1100, TORCH), (1000, NUMPY))
    )
    found = compared([*a, *b])
    assert found.overall.over == "runs"
    assert found.overall.verdict == "faster"


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
    assert found.overall.runs == (5, 5)
    assert found.overall.estimate == pytest.approx(1.1, rel=0.05)
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
    assert found.metric.shown(found.overall.estimate) in said
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
    assert compared([], advised, sides[1]).overall.verdict == "faster"


def test_runs_of_which_nobody_knows_whether_they_were_disturbed_stay(compared: Compared) -> None:
    runs = [*several(1100, TORCH, contended=None), *several(1000, NUMPY, contended=None)]
    spoilt = timed(100, TORCH, seed=9, contended=True)
    with pytest.raises(CompareError) as refused:
        compared([*runs, spoilt])
    advised = str(refused.value).partition("--where ")[2].split("\n")[0]
    assert compared([], where=[advised]).overall.runs == (5, 5)


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
    assert found.overall.verdict == "faster"
    assert [note.split(":")[0] for note in found.notes] == ["train.clip_norm", "train.learning_rate"]
    assert "race" not in render(found, "md"), "nothing is left to tell"


def test_runs_that_never_differ_show_nothing_of_chance(compared: Compared) -> None:
    runs = [scored(0.9, TORCH, seed=k) for k in range(3)] + [scored(0.8, NUMPY, seed=k) for k in range(3)]
    found = compared(runs, metric="test_accuracy")
    assert found.overall.verdict == "cannot tell"
    assert "nothing deviates from run to run" in found.overall.why
    assert "race" not in render(found, "md"), "which times training"


def test_the_same_figures_are_said_to_be_the_same(compared: Compared) -> None:
    runs = [scored(0.9 + k / 100, side, seed=k) for side in (TORCH, NUMPY) for k in range(3)]
    found = compared(runs, metric="test_accuracy").overall
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


def head_commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_directories_urls_and_revisions_are_sides(compared: Compared, tmp_path: Path, results: Path) -> None:
    before = stored(tmp_path / "before", *several(1000, TORCH))
    head = head_commit()
    after = several(1220, TORCH, environment={**HERE, "git_revision": head})
    after = [replace(run, key=f"after {run.key}") for run in after]
    found = compared(after, str(results), str(before))
    assert found.overall.verdict == "faster"
    assert found.notes == [f"harness at: {head} in {results}; {'a' * 40} in {before}"]
    assert compared([], "HEAD", before.as_uri()).overall.verdict == "faster"
    stored(results, *several(1000, TORCH))
    for revision in ("HEAD", "rev:HEAD", head, head[:9]):
        assert compared([], revision, "rev:aaaaaaa").overall.estimate == pytest.approx(1.22, abs=0.03)
    with pytest.raises(CompareError, match="have 5 runs in common"):
        compared([], "backend=torch", "HEAD")


def test_a_revision_is_one_of_this_project(
    compared: Compared, tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a shell, or a hook of git, names another repository."""
    after = several(1220, TORCH, environment={**HERE, "git_revision": head_commit()})
    stored(results, *several(1000, NUMPY), *after)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert compared([], "HEAD", NUMPY).overall.verdict == "faster"


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
        (
            ("~nobody-is-called-so/x", NUMPY),
            "~ is a home directory, and no user is called nobody-is-called-so",
        ),
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


def bare(values: Sequence[float], deviations: float = 0.0) -> list[ResampledRun]:
    rng = np.random.default_rng(0)
    return [ResampledRun(float(value), deviations * rng.standard_normal(DRAWS)) for value in values]


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
    noise = [bare(0.01 * rng.standard_normal(10), deviations=0.004) for _ in range(2)]
    twins = list(zip(*noise, strict=True))
    for paired in (False, True):
        assert right(twins, 300, 1.0, rng, paired=paired) > 0.92
        assert right(twins, 100, 1.05, rng, paired=paired) > 0.9


def test_an_interval_is_never_narrower_than_the_windows_alone() -> None:
    rng = np.random.default_rng(0)
    alike = Stratum(bare([0.0, 1e-9, 2e-9]), bare([0.0, 1e-9, 2e-9]))
    noisy = Stratum(bare([0.0, 1e-9, 2e-9], deviations=0.1), bare([0.0, 1e-9, 2e-9], deviations=0.1))
    assert estimate_difference([alike], rng).error < 1e-8
    assert estimate_difference([noisy], rng).error == pytest.approx(0.1 * (2 / 3) ** 0.5, rel=0.1)
    spread = Stratum(bare([-1.0, 0.0, 1.0], deviations=0.7), bare([-1.0, 0.0, 1.0], deviations=0.7))
    assert estimate_difference([spread], rng).error == pytest.approx((2 / 3) ** 0.5, rel=0.05), (
        "windows count once"
    )


def test_the_same_runs_give_the_same_interval(compared: Compared) -> None:
    runs = [*several(1220, TORCH), *several(1000, NUMPY)]
    assert compared(runs).overall == compared([]).overall
