"""A run and a sweep, as typed: real child processes, real records."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import harness
from harness.errors import ConfigError
from harness.store.record import RunRecord
from tests.conftest import Shell

DESIGNED = """
key status reason started command backend implementation engine kernel cell hidden layers
bidirectional sequence data seed batch_size epochs precision device device_name threads contended
test_accuracy test_loss validation_accuracy best_validation_accuracy train_loss train_throughput
train_throughput_low train_throughput_high inference_throughput latency_p50_seconds
latency_p99_seconds train_seconds first_call_seconds total_seconds seconds_to_target parameters
flops_per_sequence training_flops_per_sequence train_flops_per_second
peak_flops_per_second own_shape_flops_per_second peak_fraction
own_shape_fraction peak_memory_bytes device_peak_memory_bytes
parity_loss parity_gradient record_path weights_path
"""


TEST_DIGITS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]  # how often each is in MNIST's test


def only(results: Path) -> RunRecord:
    (path,) = results.glob("runs/*/*/record.json")
    return RunRecord.read(path)


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.long), "keras"])
def test_a_run_is_a_whole_record(run: Shell, results: Path, backend: str) -> None:
    done = run(f"backend={backend}", "train.epochs=3", "measure.targets=[0.1,1.0]")
    assert done.returncode == 0, done.stderr
    assert re.search(rf"\| {backend} +\| lstm +\|", done.stdout)
    record = only(results)
    assert record.status == "ok"
    assert record.parity_gradient is not None
    assert record.parity_gradient < 1e-4
    assert record.command == shlex.join(["python", *done.args[1:]])
    frame = harness.load(results)
    assert set(frame.columns) >= set(DESIGNED.split())
    row = frame.iloc[0]
    empty = {name for name in DESIGNED.split() if row[name] is None or row[name] != row[name]}
    allowed = {"reason", "device_peak_memory_bytes", "weights_path", "contended", "engine"}
    assert empty <= allowed, empty
    assert row["seconds_to_target"]["0.1"] > 0
    assert row["seconds_to_target"]["1.0"] is None
    assert row["train_throughput_low"] <= row["train_throughput"] <= row["train_throughput_high"]
    assert np.sum(record.details["confusion"]) == 360
    assert np.trace(record.details["confusion"]) / 360 == pytest.approx(row["test_accuracy"])
    windows = record.timing["windows"]
    assert sum(window["sequences"] for window in windows) == 3 * (1318 // 128) * 128
    assert sum(window["seconds"] for window in windows) == pytest.approx(row["train_seconds"])
    assert len(record.history) == 3
    assert row["latency_p50_seconds"] <= row["latency_p99_seconds"]
    assert 0 < row["peak_fraction"] < 1
    assert row["peak_memory_bytes"] > 50e6
    assert record.environment["versions"]["numpy"] == np.__version__


def test_a_sweep_goes_on_and_ends_with_a_table_and_status_1(run: Shell, results: Path) -> None:
    done = run("-m", "backend=numpy", "cell=gru,rnn", "backend.implementation=fused,loop")
    assert done.returncode == 1, done.stderr
    statuses = [(r.cell, r.config["backend"]["implementation"], r.status) for r in records(results)]
    assert sorted(statuses) == [
        ("gru", "fused", "skipped"),
        ("gru", "loop", "ok"),
        ("rnn", "fused", "skipped"),
        ("rnn", "loop", "ok"),
    ]
    assert "numpy has no fused gru; it has: loop" in done.stdout
    assert done.stdout.count("skipped") == 2


def records(results: Path) -> list[RunRecord]:
    return [RunRecord.read(path) for path in sorted(results.glob("runs/*/*/record.json"))]


def test_a_second_call_runs_only_what_is_missing(run: Shell, results: Path) -> None:
    assert run("backend=numpy", "seed=1").returncode == 0
    again = run("-m", "backend=numpy", "seed=1,2")
    assert again.returncode == 0
    assert "[1/2] numpy lstm-8 digits row seed 1: complete already" in again.stderr
    assert len(records(results)) == 2
    assert run("backend=numpy", "seed=1", "sweep.rerun=all").returncode == 0
    assert len(records(results)) == 3
    assert len(harness.load(results)) == 2  # one row per run


@pytest.mark.long
def test_where_results_lie_does_not_change_the_run(run: Shell, results: Path, tmp_path: Path) -> None:
    run("backend=numpy")
    run("backend=numpy", f"results.root={tmp_path / 'elsewhere'}", f"data.root={tmp_path}")
    (other,) = (tmp_path / "elsewhere").glob("runs/*/*/record.json")
    assert RunRecord.read(other).key == only(results).key


@pytest.mark.alone
@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.long)])
def test_two_runs_are_bit_identical(run: Shell, results: Path, backend: str) -> None:
    for _ in range(2):
        done = run(
            f"backend={backend}",
            "train.epochs=2",
            "train.batch_size=64",
            "save_weights=true",
            "sweep.rerun=all",
            "threads=2",
        )
        assert done.returncode == 0, done.stderr
    first, second = records(results)
    assert backend != "numpy" or first.kernel.endswith("2 shards")
    for key in ("train_loss", "validation_accuracy", "validation_loss"):
        assert [h[key] for h in first.history] == [h[key] for h in second.history]
    a, b = (load_file(record.weights_path) for record in (first, second))
    assert list(a) == list(b)
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert any(np.any(a[name] != 0) for name in a)


@pytest.mark.long
def test_warming_up_leaves_no_trace(run: Shell, results: Path) -> None:
    for steps in (1, 25):
        assert run("backend=numpy", f"measure.warmup_steps={steps}").returncode == 0
    first, second = records(results)
    assert first.key != second.key
    assert first.history[0]["train_loss"] == second.history[0]["train_loss"]
    assert first.test_loss == second.test_loss


@pytest.mark.long
def test_weights_trained_in_one_backend_mean_the_same_in_the_others(run: Shell, results: Path) -> None:
    trained = run("backend=torch", "cell=gru", "save_weights=true", "train.epochs=4", "model.layers=2")
    assert trained.returncode == 0, trained.stderr
    source = only(results)
    for backend in ("numpy", "keras", "torch"):
        done = run(
            f"backend={backend}",
            "cell=gru",
            "model.layers=2",
            "train.epochs=0",
            f"weights={source.weights_path}",
            "evaluate.batch_size=77",
        )
        assert done.returncode == 0, done.stderr
    for record in records(results):
        assert record.test_accuracy == source.test_accuracy
        assert record.test_loss == pytest.approx(source.test_loss, rel=1e-5)
    evaluated = [record for record in records(results) if record.epochs == 0]
    assert len(evaluated) == 3
    assert all(record.train_throughput is None for record in evaluated)


@pytest.mark.long
def test_losing_the_weights_file_asks_for_them_again(run: Shell, results: Path) -> None:
    assert run("backend=numpy").returncode == 0
    assert run("backend=numpy", "save_weights=true").returncode == 0
    assert [bool(record.weights_path) for record in records(results)] == [False, True]


@pytest.mark.parametrize(
    "overrides",
    [
        ("sequence=column",),
        ("sequence.rows_per_step=4",),
        ("sequence=permuted", "data.limit=128", "evaluate.batch_size=360"),
        ("sequence=pixel", "data.limit=128", "evaluate.batch_size=360", "cell=rnn", "cell.activation=relu"),
        ("model.bidirectional=true", "model.readout=mean", "data.normalize=standard"),
        ("train.optimizer=rmsprop", "train.schedule=step", "train.clip_norm=1", "init=torch"),
        ("precision=float64", "train.optimizer=momentum", "train.schedule=constant"),
    ],
    ids=" ".join,
)
def test_what_can_be_chosen_runs(run: Shell, results: Path, overrides: tuple[str, ...]) -> None:
    done = run("backend=numpy", *overrides)
    assert done.returncode == 0, done.stderr
    record = only(results)
    assert record.parity_gradient is not None
    assert record.parity_gradient < (1e-9 if record.precision == "float64" else 1e-4)
    if record.sequence == "permuted":
        assert re.fullmatch("[0-9a-f]{64}", record.details["permutation_sha256"])


@pytest.mark.long
@pytest.mark.alone
def test_the_first_command_of_the_readme(run: Shell, results: Path) -> None:
    done = run("-m", "+experiment=quickstart", small=False)
    assert done.returncode == 0, done.stderr
    found = records(results)
    assert len(found) == 6
    assert all(record.test_accuracy is not None and record.test_accuracy >= 0.95 for record in found)
    assert len([line for line in done.stdout.splitlines() if line.startswith("| ")]) == 7


def test_real_mnist(run: Shell, results: Path, mnist: str) -> None:
    done = run("data=mnist", "data.limit=2000", "cell.hidden=32", "backend=torch", f"data.root={mnist}")
    assert done.returncode == 0, done.stderr
    record = only(results)
    assert record.details["train_examples"] == 2000
    assert np.sum(record.details["confusion"]) == 10_000
    assert np.sum(record.details["confusion"], axis=1).tolist() == TEST_DIGITS
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.2
    assert record.kernel == "oneDNN"


def test_from_python(results: Path) -> None:
    record = harness.run(
        [
            f"results.root={results}",
            "backend=numpy",
            "data=digits",
            "cell.hidden=4",
            "train.epochs=1",
            "threads=1",
        ]
    )
    assert isinstance(record, RunRecord)
    assert record.ok
    frame = harness.load(results)
    assert frame.loc[0, "test_accuracy"] == record.test_accuracy
    assert json.loads(Path(frame.loc[0, "record_path"]).read_text())["key"] == record.key
    with pytest.raises(ConfigError, match="cell/lstmm"):
        harness.run(["cell=lstmm"])
    with pytest.raises(ConfigError, match="seed=-1"):
        harness.run(["seed=-1"])


def test_plain_lines_tell_how_it_goes(run: Shell) -> None:
    done = run("backend=numpy", "train.epochs=2")
    assert re.search(
        r"epoch 2/2, step 10/10, loss \d\.\d{4}, [\d,]+ sequences/s, \d+:\d\d:\d\d left", done.stderr
    )
    assert "\x1b" not in done.stderr + done.stdout
