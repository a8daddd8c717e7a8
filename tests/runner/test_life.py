"""A run's life: what it imports, what its seconds go into, what memory it takes."""

import re
import sys
from collections import Counter
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest

from harness.data.dataset import Shape
from harness.measure.statistics import pooled
from harness.runner import roofline
from harness.runner.import_guard import hide_packages
from harness.runner.run import measure_products
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.configurations import composed

LEARNING = ["data", "imports", "warm_up", "parity", "training", "validation", "evaluation", "inference"]
ALWAYS = ["prepare", "lease", "launch", "roofline", "end"]


def only(results: Path) -> RunRecord:
    (path,) = results.glob("runs/*/*/record.json")
    return RunRecord.read(path)


def imported(text: str) -> set[str]:
    """The packages that Python, told to profile imports, says it imported: with modules of theirs, of which
    one that was only looked for has a single one or none."""
    names = set(re.findall(r"^import time: .* \| +(\S+)$", text, re.MULTILINE))
    parts = [name.split(".") for name in names]
    inside = Counter(".".join(each[:k]) for each in parts for k in range(1, len(each)))
    return {name for name, modules in inside.items() if modules >= 3}


@pytest.mark.parametrize(
    ("overrides", "theirs", "not_needed"),
    [
        (["backend=numpy"], "numpy", {"torch", "tensorflow", "keras", "jax"}),
        pytest.param(["backend=torch"], "torch", {"tensorflow", "keras", "jax"}, marks=pytest.mark.long),
        pytest.param(["backend=keras"], "tensorflow", {"jax", "matplotlib"}, marks=pytest.mark.long),
        pytest.param(
            ["backend=keras", "backend.engine=jax"],
            "jax",
            {"tensorflow", "torch", "matplotlib"},
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_run_imports_only_what_it_needs(
    run: Shell, results: Path, overrides: list[str], theirs: str, not_needed: set[str]
) -> None:
    done = run(*overrides, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    (log,) = results.glob("runs/*/*/output.log")
    child = imported(log.read_text())
    assert theirs in child
    assert child & (not_needed | {"pandas", "sklearn", "scipy.stats", "hydra"}) == set()
    until_it_ran = imported(done.stderr.partition(": ok: ")[0])
    assert "hydra" in until_it_ran
    assert not until_it_ran & {"torch", "tensorflow", "keras", "jax", "pandas", "scipy", "sklearn"}


def test_what_is_hidden_can_be_imported_again() -> None:
    sys.modules.pop("wave", None)
    with hide_packages(["wave", "json"]):
        import json  # it is there already

        assert json.loads("1") == 1
        with pytest.raises(ImportError):
            import wave
    import wave

    assert wave.WAVE_FORMAT_PCM == 1


@pytest.mark.parametrize(
    ("overrides", "phases"),
    [
        ([], {*LEARNING, *ALWAYS, "diagnostics"}),
        (["save_weights=true"], {*LEARNING, *ALWAYS, "diagnostics", "weights"}),
        (["cell=echo_state", "cell.density=1.0", "train.solver=ridge"], {*LEARNING, *ALWAYS, "diagnostics"}),
    ],
)
def test_the_phases_of_a_run_are_all_of_its_seconds(
    run: Shell, results: Path, overrides: list[str], phases: set[str]
) -> None:
    done = run("backend=numpy", "train.epochs=3", *overrides)
    assert done.returncode == 0, done.stderr
    record = only(results)
    found = record.timing["phases"]
    assert set(found) == phases
    assert all(seconds >= 0 for seconds in found.values())
    assert record.total_seconds is not None
    assert 0.95 * record.total_seconds <= sum(found.values()) <= 1.0001 * record.total_seconds
    assert record.train_seconds is not None
    assert record.train_seconds <= found["training"] <= record.train_seconds + 0.5 * record.total_seconds


def test_a_run_that_ends_early_says_where_it_was(run: Shell, results: Path) -> None:
    run("backend=numpy", "train.epochs=100000", "run.timeout_seconds=3")
    record = only(results)
    assert record.status == "timeout"
    assert record.timing["phases"]["training"] > 0
    assert "evaluation" not in record.timing["phases"]
    assert sum(record.timing["phases"].values()) > 2.5


@pytest.mark.long
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_memory_does_not_grow_with_the_epochs(run: Shell, results: Path, backend: str) -> None:
    peaks = []
    for epochs in (1, 8):
        done = run(f"backend={backend}", "cell.hidden=32", f"train.epochs={epochs}")
        assert done.returncode == 0, done.stderr
    for path in results.glob("runs/*/*/record.json"):
        record = RunRecord.read(path)
        memory = record.details["memory"]
        assert record.peak_memory_bytes is not None
        assert memory["after_imports"] <= memory["after_data"] <= memory["peak_by_then"]
        assert memory["peak_by_then"] <= record.peak_memory_bytes
        peaks.append(record.peak_memory_bytes)
    assert max(peaks) < 1.02 * min(peaks)


@pytest.mark.parametrize(("seconds", "known"), [(0.6, True), (0.05, False)])
def test_a_run_of_twenty_windows_knows_its_undisturbed_speed(
    run: Shell, results: Path, seconds: float, known: bool
) -> None:
    done = run("backend=numpy", "mode=throughput", f"measure.seconds={seconds}")
    assert done.returncode == 0, done.stderr
    record = only(results)
    work, took = ([window[name] for window in record.timing["windows"]] for name in ("sequences", "seconds"))
    rates = pooled(work, took, record.config["measure"]["window_seconds"])
    assert (len(rates) >= 20) is known
    best = fmean(sorted(rates)[-5:])
    assert record.train_throughput is not None
    assert record.train_throughput_best == (pytest.approx(best) if known else None)
    assert record.unsteady is (best > 1.1 * record.train_throughput if known else None)
    assert ("unsteady" in done.stderr) is bool(record.unsteady)


def test_training_is_measured_against_products_of_its_own_shape(run: Shell, results: Path) -> None:
    done = run("backend=numpy", "cell=gru", "cell.hidden=16", "train.batch_size=64")
    assert done.returncode == 0, done.stderr
    record = only(results)
    rates = record.details["matmul_flops_per_second"]
    own, *squares = rates
    assert own == "64×16×48"
    assert squares[0] == "512×512×512"
    assert record.own_shape_flops_per_second == rates[own]
    assert record.peak_flops_per_second == max(rates.values())
    both = record.details["matmul"]
    assert set(both) == {"before", "after"}
    assert all(rates[shape] == max(both[when][shape] for when in both) for shape in both["before"])
    assert record.train_throughput is not None
    assert record.training_flops_per_sequence is not None
    assert record.train_flops_per_second == record.train_throughput * record.training_flops_per_sequence
    assert record.peak_fraction == pytest.approx(record.train_flops_per_second / max(rates.values()))
    assert record.own_shape_fraction == pytest.approx(record.train_flops_per_second / rates[own])


@pytest.mark.parametrize("rates", [(5e9, 3e9), (3e9, 5e9)])
def test_the_better_of_the_products_before_and_after_training_counts(
    monkeypatch: pytest.MonkeyPatch, rates: tuple[float, float]
) -> None:
    found = iter(rates)
    monkeypatch.setattr(roofline, "measure", lambda session, own: roofline.Roofline({own: next(found)}, own))
    config, shape, emitted = composed(), Shape(28, 28, 10), []
    context: Any = SimpleNamespace(
        config=config,
        model=config.model_spec(shape),
        shape=shape,
        session=SimpleNamespace(kernel="a kernel"),
        begin=lambda phase, note: None,
        emit=emitted.append,
    )
    measure_products(context, "after", measure_products(context, "before", {}))
    assert [update.columns["peak_flops_per_second"] for update in emitted] == [rates[0], 5e9]
    assert emitted[1].columns["own_shape_flops_per_second"] == 5e9
    own = "128×128×512"
    assert emitted[1].details["matmul_flops_per_second"] == {own: 5e9}
    assert emitted[1].details["matmul"] == {"before": {own: rates[0]}, "after": {own: rates[1]}}
