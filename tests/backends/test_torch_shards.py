"""PyTorch in several processes: the reference's numbers, the same bits each time, and no process left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from harness.backends.base import Setup, Weights
from harness.backends.numpy.reference import Reference
from harness.backends.torch import backend
from harness.backends.torch.sharded import ShardedSession
from harness.errors import Unavailable, WorkerDied
from harness.model.optimizer import OptimizerSpec
from harness.store.record import RunRecord
from tests.conftest import ROOT, SMALL, environment
from tests.support.parity import (
    Case,
    distance,
    optimizers,
    reference,
    trained_reference,
    worst,
)
from tests.support.parity import train as train_twenty

# its second bias is trained in part, its first states are learned, and its sequences are cut
HARD = Case("gru", layers=2, initial_state="learned", truncate=4, steps=8)
DROPPING = Case("lstm", layers=3)
ADAM = optimizers()[2]
BATCHES = np.random.default_rng(13).integers(0, 24, (6, 5))  # which two shards do not divide
RATES = 0.01 * np.linspace(1.0, 0.2, 6)
LONG = [
    ("fused", Case("lstm", bidirectional=True, layers=2, readout="attention"), 2),
    ("fused", Case("fir", truncate=4, steps=8), 2),
    ("loop", Case("history_compressor"), 2),  # it has a penalty
    ("loop", Case("echo_state", layers=2), 2),  # most of it is not trained
    ("loop", HARD, 4),
    ("compiled", Case("gru", readout="mean", truncate=4, steps=8), 2),
    ("scan", Case("mingru", layers=2, initial_state="learned"), 2),
]


def opened(
    case: Case,
    implementation: str = "fused",
    optimizer: OptimizerSpec = ADAM,
    shards: int = 2,
    **more: object,
) -> ShardedSession:
    setup = Setup(
        model=case.model,
        optimizer=optimizer,
        implementation=implementation,
        precision="float64",
        threads=shards,
        truncate=case.truncate,
        shards=shards,
    )
    session = backend.open_session(replace(setup, **more))
    assert isinstance(session, ShardedSession)
    session.put_weights(case.weights())
    session.load("train", *case.data())
    return session


def dropping() -> ShardedSession:
    return opened(DROPPING, model=replace(DROPPING.model, dropout=0.5), seed=5)


@pytest.fixture(scope="module")
def hard() -> Iterator[ShardedSession]:
    """One session for many tests: its processes take seconds to start."""
    session = opened(HARD)
    yield session
    session.close()


@pytest.fixture(scope="module")
def dropper() -> Iterator[ShardedSession]:
    session = dropping()
    yield session
    session.close()


def put_back(session: ShardedSession, case: Case) -> None:
    session.put_weights(case.weights())
    session.load("train", *case.data())


def test_gradients_predictions_and_updates_are_the_references(hard: ShardedSession) -> None:
    put_back(hard, HARD)
    truth = reference(HARD)
    x, y = (array[:5] for array in HARD.data())
    found, expected = hard.gradients(x, y), truth.gradients(x, y)
    assert found.loss == pytest.approx(expected.loss, rel=1e-12)
    assert worst(found.gradients, expected.gradients)[0] < 1e-9
    ranges = [(0, 5), (5, 6), (6, 24)]
    assert distance(hard.predict("train", ranges), truth.predict("train", ranges)) < 1e-9
    assert distance(hard.features("train", ranges), truth.features("train", ranges)) < 1e-9
    assert distance(hard.outputs(x).logits, truth.predict("train", [(0, 5)])) < 1e-9
    losses, weights = train_twenty(hard)
    expected_losses, expected_weights = trained_reference(HARD, ADAM)
    assert distance(losses, expected_losses) < 1e-9
    assert worst(weights, expected_weights)[0] < 1e-9
    assert hard.kernel == "ATen, 2 shards"


def test_a_batch_of_one_row_has_one_shard_and_the_next_two_again(hard: ShardedSession) -> None:
    put_back(hard, HARD)
    alone = hard.train(BATCHES[:1, :1], RATES[:1])
    assert hard.kernel == "ATen, 1 shard"
    assert alone.shape == (1,)
    hard.train(BATCHES[:1], RATES[:1])
    assert hard.kernel == "ATen, 2 shards"


def test_the_same_shards_give_the_same_bits(hard: ShardedSession) -> None:
    runs = []
    for _ in range(2):
        put_back(hard, HARD)
        runs.append((hard.train(BATCHES, RATES), hard.weights(), hard.optimizer_state()))
    assert same(runs[0], runs[1])


def same(a: tuple[np.ndarray, Weights, Weights], b: tuple[np.ndarray, Weights, Weights]) -> bool:
    return np.array_equal(a[0], b[0]) and all(
        np.array_equal(left[name], right[name])
        for left, right in zip(a[1:], b[1:], strict=True)
        for name in left
    )


def test_three_updates_and_three_are_six(hard: ShardedSession) -> None:
    put_back(hard, HARD)
    losses = hard.train(BATCHES, RATES)
    at_once = losses, hard.weights(), hard.optimizer_state()
    put_back(hard, HARD)
    first = hard.train(BATCHES[:3], RATES[:3])
    weights, state = hard.weights(), hard.optimizer_state()
    hard.train(BATCHES[3:], RATES[3:])
    hard.put_weights(weights)
    hard.put_optimizer_state(state)
    second = hard.train(BATCHES[3:], RATES[3:])
    assert same((np.concatenate([first, second]), hard.weights(), hard.optimizer_state()), at_once)


def test_what_is_dropped_is_of_the_shard_and_of_the_epoch(dropper: ShardedSession) -> None:
    x, y = DROPPING.data()
    dropper.load("train", np.concatenate([x[:12], x[:12]]), np.concatenate([y[:12], y[:12]]))
    dropper.put_weights(DROPPING.weights())
    rows, nothing = np.tile(np.arange(24), (3, 1)), np.zeros(3)
    first = dropper.train(rows, nothing)
    halves = dropper._gradients_of.clone()
    halves[0] -= halves[1]  # the first row holds the sum
    assert not torch.allclose(halves[0], halves[1])
    dropper.begin_epoch(1)
    second, third = dropper.train(rows, nothing), dropper.train(rows, nothing)
    assert len({*first, *second, *third}) == 9
    dropper.begin_epoch(1)
    assert np.array_equal(dropper.train(rows, nothing), second)
    dropper.put_weights(DROPPING.weights())
    assert np.array_equal(dropper.train(rows, nothing), first)


def test_masks_are_those_that_training_drops_by(dropper: ShardedSession) -> None:
    put_back(dropper, DROPPING)
    dropper.begin_epoch(1)
    losses = dropper.train(BATCHES[:3], RATES[:3])
    setup = replace(dropper._setup, shards=1, precision="float64")
    truth = Reference(setup, DROPPING.weights(), batch=5)
    truth.load("train", *DROPPING.data())
    expected = truth.train_dropping(BATCHES[:3], RATES[:3], dropper.dropout_masks(1, 5, 3))
    truth.close()
    assert distance(losses, expected) < 1e-12


def test_a_killed_process_is_named_and_comes_back(dropper: ShardedSession) -> None:
    put_back(dropper, DROPPING)
    before = dropper.gradients(*DROPPING.data())
    dropper._pool.workers[0].process.kill()
    with pytest.raises(WorkerDied, match="the process of shard 1 was ended by SIGKILL"):
        dropper.train(BATCHES, RATES)
    assert dropper.gradients(*DROPPING.data()).loss == before.loss


def test_closing_ends_the_processes_and_gives_threads_back() -> None:
    threads = torch.get_num_threads()
    session = opened(Case("rnn"), "loop", threads=3)
    assert torch.get_num_threads() == 1  # of three that two shards have
    pids = [worker.process.pid for worker in session._pool.workers]
    assert len(pids) == 1
    session.matmul(8, 4, 4, 2)
    session.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert torch.get_num_threads() == threads


def test_more_shards_than_threads_are_refused() -> None:
    with pytest.raises(Unavailable, match=r"backend\.shards=3: must be 1 … threads=2"):
        opened(Case("rnn"), shards=3, threads=2)


@pytest.mark.long
@pytest.mark.parametrize("index", range(len(LONG)), ids=lambda index: "-".join(map(str, LONG[index])))
def test_every_implementation_computes_the_same(index: int) -> None:
    """The optimisers take turns: one updates for all shards."""
    implementation, case, shards = LONG[index]
    optimizer = optimizers()[index % 4]
    session = opened(case, implementation, optimizer, shards)
    x, y = (array[:5] for array in case.data())
    found, expected = session.gradients(x, y), reference(case).gradients(x, y)
    assert worst(found.gradients, expected.gradients)[0] < 1e-9
    losses, weights = train_twenty(session)
    expected_losses, expected_weights = trained_reference(case, optimizer)
    assert distance(losses, expected_losses) < 1e-9
    assert worst(weights, expected_weights)[0] < 1e-9
    session.close()


@pytest.mark.long
@pytest.mark.parametrize(("precision", "limit"), [("float32", 1e-4), ("bfloat16", 0.2)])
def test_other_precisions(precision: str, limit: float) -> None:
    case = Case("lstm")
    session = opened(case, precision=precision)
    found, expected = session.gradients(*case.data()), reference(case).gradients(*case.data())
    assert worst(found.gradients, expected.gradients)[0] < limit
    assert np.isfinite(session.train(BATCHES, RATES)).all()
    session.matmul(64, 5, 5, 2)
    session.close()


@pytest.mark.long
def test_a_fresh_session_goes_on_where_another_was() -> None:
    one = opened(HARD)
    whole = one.train(BATCHES, RATES), one.weights(), one.optimizer_state()
    one.put_weights(HARD.weights())
    first = one.train(BATCHES[:3], RATES[:3])
    weights, state = one.weights(), one.optimizer_state()
    one.close()
    other = opened(HARD)
    other.put_weights(weights)
    other.put_optimizer_state(state)
    second = other.train(BATCHES[3:], RATES[3:])
    assert same((np.concatenate([first, second]), other.weights(), other.optimizer_state()), whole)
    other.close()


@contextmanager
def training(results: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A run that trains, and the process of its second shard."""
    command = [sys.executable, "run.py", f"results.root={results}", *SMALL, "train.epochs=100000"]
    command += ["backend=torch", "backend.shards=2", "threads=2", "device=cpu"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as run:
        shard = None
        for _ in range(600):
            time.sleep(0.1)
            found = psutil.Process(run.pid).children(recursive=True)
            shard = next((p for p in found if "processes.worker" in " ".join(p.cmdline())), None)
            if shard and shard.cpu_times().user > 5:
                break
        assert shard is not None
        yield run, shard
        run.kill()


@pytest.mark.long
def test_a_run_ends_as_its_shard_does(results: Path) -> None:
    with training(results) as (run, shard):
        shard.kill()
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 1, out
    (path,) = results.glob("runs/*/*/record.json")
    record = RunRecord.read(path)
    assert record.status == "crashed"
    assert record.reason == "ended by SIGKILL; last output: the process of shard 1 was ended by SIGKILL"


@pytest.mark.long
def test_a_shard_does_not_outlive_its_run(results: Path) -> None:
    with training(results) as (run, shard):
        os.kill(shard.ppid(), signal.SIGKILL)
        psutil.wait_procs([shard], timeout=10)
        assert not shard.is_running() or shard.status() == psutil.STATUS_ZOMBIE
        run.communicate(timeout=60)


@pytest.mark.long
def test_a_run_with_shards_is_proved_and_says_so(results: Path) -> None:
    command = [sys.executable, "run.py", f"results.root={results}", *SMALL]
    command += ["backend=torch", "backend.shards=2", "threads=2", "device=cpu"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    (path,) = results.glob("runs/*/*/record.json")
    record = RunRecord.read(path)
    assert record.ok
    assert record.config["backend"]["shards"] == 2
    assert record.kernel.endswith(", 2 shards")
    assert record.parity_gradient < 1e-4
