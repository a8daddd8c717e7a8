"""A search that ends runs early: each is a row of its own, decided once, and never taken for a whole one."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.config.compose import configuration
from harness.launcher.key import run_key
from harness.launcher.record_builder import RecordBuilder
from harness.measure.clock import now
from harness.store.attempts import new_attempt, write_record
from harness.store.record import RunRecord
from harness.sweep.display import ProgressDisplay
from harness.sweep.task import RunStatus
from tests.conftest import ROOT, SMALL, Shell, environment
from tests.support.children import Shadow, sabotage
from tests.support.sweeps import task

optuna = pytest.importorskip("optuna", reason="pip install -c constraints.txt optuna")
pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("plain_environment"),
]  # commands find the runs that are stored here

EPOCHS = 6
RUN = ("backend=numpy", f"train.epochs={EPOCHS}", "train.batch_size=16", "train.checkpoint_epochs=1")
LOW, HIGH = 1e-6, 1e-1
SPACE = f"train.learning_rate=tag(log,interval({LOW},{HIGH}))"
GOOD, BAD = 1e-2, 1e-4  # a rate from the one on learns at once, one below the other does not


def sampled_rates(seed: int, count: int) -> list[float]:
    """The learning rates of a search's first trials, which do not depend on what came of them."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    return [study.ask().suggest_float("train.learning_rate", LOW, HIGH, log=True) for _ in range(count)]


def seed_for(first: str) -> int:
    """A seed by which the first trials are good (g), bad (b), or whatever comes (.), in this order."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def kind(rate: float) -> str:
        return "g" if rate > GOOD else "b" if rate < BAD else "-"

    found = ("".join(map(kind, sampled_rates(seed, len(first)))) for seed in range(10_000))
    return next(seed for seed, kinds in enumerate(found) if re.fullmatch(first, kinds))


def search(pruner: str, seed: int, trials: int, *more: str) -> tuple[str, ...]:
    options = {"pruner": pruner, "seed": seed, "n_trials": trials}
    options_typed = [f"hydra.sweeper.{key}={value}" for key, value in options.items()]
    objective = [] if any(item.startswith("objective=") for item in more) else ["objective=val_accuracy"]
    return ("hydra/sweeper=optuna", *options_typed, *objective, *RUN, SPACE, *more)


def typed(results: Path, *overrides: str) -> list[str]:
    return [sys.executable, "run.py", "-m", f"results.root={results}", *SMALL, *overrides]


def call(results: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        typed(results, *overrides), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300
    )


def attempts(results: Path) -> list[RunRecord]:
    return [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]


def records(results: Path) -> dict[float, RunRecord]:
    """By learning rate, of which each has but one, in the order that they were made in."""
    found = sorted(attempts(results), key=lambda record: record.started)
    by_rate = {record.config["train"]["learning_rate"]: record for record in found}
    assert len(by_rate) == len(found)
    return by_rate


HALVING = "gbbb"
same_search = pytest.mark.xdist_group("halved")


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    results = tmp_path_factory.mktemp("halved") / "results"
    return results, call(results, *search("successive_halving", seed_for(HALVING), len(HALVING)))


@pytest.fixture
def copied(halved: tuple[Path, object], results: Path) -> Path:
    """Results of a test's own, with what that search left."""
    shutil.copytree(halved[0], results)
    return results


@same_search
def test_a_pruned_run_is_a_row_and_not_a_failure(
    halved: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    results, done = halved
    assert done.returncode == 0, done.stderr
    found = records(results)
    rates = sampled_rates(seed_for(HALVING), len(HALVING))
    assert list(found) == rates
    whole, *pruned = found.values()
    assert (whole.status, len(whole.history)) == ("ok", EPOCHS)
    best = whole.history[0]["validation_accuracy"]
    for number, record in enumerate(pruned, 1):
        accuracy = record.history[0]["validation_accuracy"]
        reason = (
            f"after epoch 1 of {EPOCHS}: validation accuracy {accuracy:.4f}, "
            f"the best of {number} runs was {best:.4f}"
        )
        assert (record.status, record.reason) == ("pruned", reason)
        assert len(record.history) == 1
        assert record.validation_accuracy == accuracy
        assert record.test_accuracy is None
        assert {window["epoch"] for window in record.timing["windows"]} == {1}
        assert f"| pruned | {reason}" in done.stdout
        assert f"pruned: {reason}" in done.stderr
    assert f"best val_accuracy {whole.validation_accuracy:.6g}, of run 1" in done.stderr
    assert "Traceback" not in done.stderr


@same_search
def test_the_same_search_continues_and_repeats_no_run(copied: Path) -> None:
    before = sorted(copied.glob("runs/*/*/record.json"))
    more = call(copied, *search("successive_halving", seed_for(HALVING), len(HALVING) + 1))
    assert more.returncode == 0, more.stderr
    assert more.stderr.count("complete already") == 1
    assert more.stderr.count("pruned already: after epoch 1") == 3
    after = sorted(copied.glob("runs/*/*/record.json"))
    assert set(before) < set(after)
    assert len(after) == len(before) + 1


@pytest.mark.long
@same_search
def test_a_plain_sweep_makes_a_pruned_run_whole(copied: Path) -> None:
    """From its checkpoint on; the search then takes it as it is."""
    rate = list(records(copied))[1]
    done = call(copied, *RUN, f"train.learning_rate={rate}")
    assert done.returncode == 0, done.stderr
    assert "resuming after epoch 1" in done.stderr
    (whole,) = (r for r in attempts(copied) if r.ok and r.config["train"]["learning_rate"] == rate)
    assert [epoch["epoch"] for epoch in whole.history] == list(range(1, EPOCHS + 1))
    again = call(copied, *search("successive_halving", seed_for(HALVING), len(HALVING)))
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("complete already") == 2


@pytest.mark.long
@same_search
def test_a_killed_search_ends_like_an_undisturbed_one(
    halved: tuple[Path, object], copied: Path, shadow: Shadow
) -> None:
    whole = records(halved[0])
    rate = list(whole)[2]
    shutil.rmtree(copied / "runs" / whole[rate].key)
    shutil.rmtree(copied / "sweeps")
    again = search("successive_halving", seed_for(HALVING), 3)
    stuck = """
import time
import harness.store.checkpoint
write = harness.store.checkpoint.Checkpoints.write
def kept(self, found):
    write(self, found)
    time.sleep(600)
harness.store.checkpoint.Checkpoints.write = kept
"""
    process = subprocess.Popen(
        typed(copied, *again),
        cwd=ROOT,
        env=environment(**sabotage(shadow, stuck)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (copied / "runs" / whole[rate].key / "checkpoint" / "epoch-00000001.json").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    for pid in (process.pid, *(member.pid for member in family)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(family, timeout=10)
    assert rate not in records(copied)
    done = call(copied, *again)
    assert done.returncode == 0, done.stderr
    assert "resuming after epoch 1" in done.stderr
    assert done.stderr.count(" already") == 2
    found = records(copied)[rate]
    assert (found.status, found.reason) == (whole[rate].status, whole[rate].reason)
    assert found.history[0]["validation_accuracy"] == whole[rate].history[0]["validation_accuracy"]


def store(results: Path, rate: float, accuracy: float, *overrides: str) -> None:
    """A run that ended `ok`, with this validation accuracy after every epoch."""
    config = configuration(
        [f"results.root={results}", *SMALL, *RUN, *overrides, f"train.learning_rate={rate}"]
    )
    key = run_key(config, 1)
    record = replace(
        RecordBuilder(config, key=key, threads=1, command="python run.py").build("ok", None),
        history=[{"epoch": k, "validation_accuracy": accuracy} for k in range(1, EPOCHS + 1)],
        validation_accuracy=accuracy,
        parity_gradient=1e-7,
        seconds_to_target={str(target): 1.0 for target in config.measure.targets},
    )
    write_record(record, new_attempt(str(results), key, now()))


STARTED = 5  # runs before which Optuna's median pruner does nothing


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_below_the_median(results: Path, launcher: str) -> None:
    """The runs before are stored ones; two real ones follow, at once where that can be."""
    seed = seed_for("." * STARTED + "bb")
    for k, rate in enumerate(sampled_rates(seed, STARTED)):
        store(results, rate, 0.9 + k / 100)
    options = (f"hydra/launcher={launcher}", f"hydra.sweeper.n_jobs={STARTED}")
    done = call(results, *search("median", seed, STARTED + 2, *options))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("complete already") == STARTED
    pruned = [record for record in records(results).values() if record.status == "pruned"]
    assert len(pruned) == 2
    for record in pruned:
        accuracy = record.history[0]["validation_accuracy"]
        assert record.reason == (
            f"after epoch 1 of {EPOCHS}: validation accuracy {accuracy:.4f}, the median of 5 runs was 0.9200"
        )


@pytest.mark.parametrize(
    ("target", "status"), [(0.95, "pruned"), pytest.param(0.01, "ok", marks=pytest.mark.long)]
)
def test_seconds_to_a_target(results: Path, target: float, status: str) -> None:
    """A run that has reached it is as good as it gets, and goes on."""
    seed = seed_for("." * STARTED + "b")
    more = ("objective=seconds_to_target", f"measure.targets=[{target}]")
    for rate in sampled_rates(seed, STARTED):
        store(results, rate, 0.96, *more)
    done = call(results, *search("median", seed, STARTED + 1, *more))
    assert done.returncode == 0, done.stderr
    record = list(records(results).values())[-1]
    assert record.status == status, record.reason
    if status == "pruned":
        assert str(record.reason).endswith("the median of 5 runs was 0.9600")


def test_pruners_that_cannot_work_are_rejected(run: Shell) -> None:
    search = ("-m", "hydra/sweeper=optuna", "backend=numpy", SPACE)
    for overrides, said in (
        (("hydra.sweeper.pruner=best",), "hydra.sweeper.pruner='best': must be null or one of median, "),
        (
            ("hydra.sweeper.pruner=median", "objective=train_throughput"),
            "hydra.sweeper.pruner='median': goes by validation accuracy, which says nothing about "
            "objective=train_throughput",
        ),
        (
            ("hydra.sweeper.pruner=median", "hydra/launcher=ray", "results.root=memory://bucket"),
            "hydra.sweeper.pruner='median': with hydra/launcher=ray the study is read from a directory",
        ),
    ):
        done = run(*search, "objective=val_accuracy", *overrides)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_the_overall_line_counts_pruned_runs(results: Path) -> None:
    display = ProgressDisplay(total=3)
    for number, status in enumerate(("ok", "pruned")):
        display.update(
            replace(RunStatus.expected(task(results, number)), status=status, seconds=12.0, result=status)
        )
    assert display.overall() == "1 done, 1 pruned, 0 failed, 1 left, about 0:00:12 to go"
