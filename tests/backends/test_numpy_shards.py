"""Shards in processes of their own: the same numbers as one, the same bits each time, and no process left."""

import gc
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

from harness.backends.numpy import backend
from harness.backends.numpy.backend import NumpySession
from harness.backends.processes.affinity import cores_for
from harness.backends.processes.shared_memory import SharedArray, attached
from harness.errors import WorkerDied
from harness.model.optimizer import OptimizerSpec
from harness.store.record import RunRecord
from tests.conftest import ROOT, SMALL, environment
from tests.support.parity import Case, open_session, train, worst

CASES = [
    Case("lstm", layers=2, bidirectional=True, readout="attention"),
    Case("gru", truncate=3),
    Case("lstm", initial_state="learned"),
    Case("history_compressor"),
]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "MIN_SHARD_ROWS", 1)


@contextmanager
def opened(case: Case, threads: int) -> Iterator[NumpySession]:
    session = open_session("numpy", case, "loop", OptimizerSpec(), threads)
    assert isinstance(session, NumpySession)
    yield session
    session.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_shards_change_nothing_but_the_last_bits(case: Case) -> None:
    x, y = case.data()
    ranges = [(0, 5), (5, 6), (6, 24)]
    with opened(case, 1) as one, opened(case, 3) as many:
        expected, found = one.gradients(x, y), many.gradients(x, y)
        assert found.loss == pytest.approx(expected.loss, rel=1e-13)
        assert worst(found.gradients, expected.gradients)[0] < 1e-12
        assert many.kernel.endswith(", 3 shards")
        for split in ([(0, 2)], ranges):  # the second asks for more room
            np.testing.assert_allclose(many.predict("train", split), one.predict("train", split), rtol=1e-12)
        np.testing.assert_allclose(many.features("train", ranges), one.features("train", ranges), rtol=1e-12)
        (losses, weights), (same, others) = train(one), train(many)
        np.testing.assert_allclose(losses, same, rtol=1e-11)
        assert worst(others, weights)[0] < 1e-9
        np.testing.assert_allclose(many.outputs(x).logits, many.predict("train", [(0, 24)]), rtol=1e-12)


def test_there_are_no_more_shards_than_rows() -> None:
    with opened(Case("rnn"), 5) as session:
        x, y = Case("rnn").data()
        session.gradients(x[:2], y[:2])
        assert session.kernel.endswith(", 2 shards")


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores to pin to",
)
def test_every_shard_computes_on_a_core_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getaffinity(0)
    first, second = sorted(before)[:2]
    seen = []
    try:
        os.sched_setaffinity(0, [first, second])
        with opened(Case("rnn"), 2) as session:
            original = session.pool.first.gradients

            def watched(*arguments: object) -> float:
                seen.append(os.sched_getaffinity(0))
                return original(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(session.pool.first, "gradients", watched)
            session.train(np.arange(24)[None], np.zeros(1))
            (worker,) = session.pool.workers
            assert psutil.Process(worker.process.pid).cpu_affinity() == [second]
            assert seen == [{first}]
            assert os.sched_getaffinity(0) == {first, second}
            session.train(np.arange(1)[None], np.zeros(1))  # one shard: the system places it
            assert seen[1:] == [{first, second}]
        assert cores_for([1, 1]) == [(first,), (second,)]
        assert cores_for([2]) == [()]  # one shard: nothing to tell apart
        os.sched_setaffinity(0, [first])
        assert cores_for([1, 1]) == [(), ()]  # other sessions may have the same cores
    finally:
        os.sched_setaffinity(0, before)


def test_a_batch_is_cut_into_as_many_shards_as_have_rows_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "MIN_SHARD_ROWS", 32)
    assert backend.shards(1, 4) == [slice(0, 1)]
    assert backend.shards(63, 4) == [slice(0, 63)]
    assert backend.shards(65, 4) == [slice(0, 32), slice(32, 65)]
    assert [part.stop - part.start for part in backend.shards(130, 4)] == [32, 33, 32, 33]


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_same_shards_give_the_same_bits(dropout: float) -> None:
    case = Case("gru", layers=2)
    runs = []
    for _ in range(2):
        session = open_session("numpy", case, "loop", OptimizerSpec(), 3)
        assert isinstance(session, NumpySession)
        setup = replace(session.pool.setup, model=replace(case.model, dropout=dropout))
        session.close()
        session = backend.open_session(setup)
        session.load("train", *case.data())
        session.put_weights(case.weights())
        runs.append(train(session))
        session.put_weights(case.weights())  # which begins the streams of dropout anew
        runs.append(train(session))
        session.close()
    for losses, weights in runs[1:]:
        assert np.array_equal(losses, runs[0][0])
        assert all(np.array_equal(weights[name], runs[0][1][name]) for name in weights)


def test_shards_drop_with_streams_of_their_own() -> None:
    case = Case("rnn", layers=2)
    with opened(case, 2) as session:
        setup = replace(session.pool.setup, model=replace(case.model, dropout=0.5))
    session = backend.open_session(setup)
    x, y = case.data()
    twice = np.concatenate([x[:12], x[:12]]), np.concatenate([y[:12], y[:12]])
    session.load("train", *twice)
    session.put_weights(case.weights())
    session.train(np.arange(24)[None], np.zeros(1))
    halves = session.g.copy()
    halves[0] -= halves[1]  # the first row holds the sum
    assert not np.allclose(halves[0], halves[1])
    session.close()


def test_what_a_shard_raises_comes_back_and_the_session_goes_on() -> None:
    case = Case("rnn")
    with opened(case, 2) as session:
        before = session.predict("train", [(0, 24)])
        rows = session.pool.buffer("rows", 32, np.int64)
        rows[:32] = [*range(16), *[999] * 16]
        calls = [(session.version, "train", part, (0, 7), 1 / 32) for part in ((0, 16), (16, 32))]
        with pytest.raises(IndexError):
            session.pool.call("gradients", calls)  # the second shard's rows are none of the split's
        np.testing.assert_array_equal(session.predict("train", [(0, 24)]), before)


def test_a_killed_shard_is_named_and_comes_back() -> None:
    case = Case("rnn")
    with opened(case, 2) as session:
        before = session.gradients(*case.data())
        session.pool.workers[0].process.kill()
        with pytest.raises(WorkerDied, match="the process of shard 1 was ended by SIGKILL") as lost:
            session.gradients(*case.data())
        assert lost.value.code == -signal.SIGKILL
        assert session.gradients(*case.data()).loss == before.loss


def test_closing_leaves_no_process_and_no_file() -> None:
    gc.collect()
    files = psutil.Process().num_fds()
    with opened(Case("rnn"), 3) as session:
        session.gradients(*Case("rnn").data())
        pids = [worker.process.pid for worker in session.pool.workers]
        assert len(pids) == 2
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    del session
    gc.collect()
    assert psutil.Process().num_fds() == files


SCRIPT = """
import numpy as np, harness
session = harness.open_session(["backend=numpy", "cell=rnn", "cell.hidden=16", "threads=2", "device=cpu"])
rng = np.random.default_rng(0)
session.load("train", rng.random((256, 28, 28), dtype=np.float32), rng.integers(0, 10, 256))
work = lambda steps: session.train(rng.integers(0, 256, (steps, 64)), np.full(steps, 1e-3))
work(1)
print(session.pool.workers[0].process.pid, flush=True)
try:
    work(1_000_000)
except KeyboardInterrupt:
    work(3)
    print("went on", flush=True)
"""


@contextmanager
def script() -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A person's own program while it trains, and its second shard."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        shard = psutil.Process(int(process.stdout.readline()))
        time.sleep(0.3)
        yield process, shard
        process.kill()


def test_an_interrupted_program_goes_on() -> None:
    with script() as (process, shard):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to both processes
        out, err = process.communicate(timeout=60)
        assert (out, err, process.returncode) == ("went on\n", "", 0)
        assert not shard.is_running()


def test_a_shard_does_not_outlive_its_program() -> None:
    with script() as (process, shard):
        process.kill()
        process.wait()
        psutil.wait_procs([shard], timeout=10)
        assert not shard.is_running() or shard.status() == psutil.STATUS_ZOMBIE


def test_a_run_ends_as_its_shard_does(results: Path) -> None:
    command = [sys.executable, "run.py", f"results.root={results}", *SMALL, "backend=numpy"]
    command += ["train.epochs=100000", "train.batch_size=64", "threads=2"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as run:
        shard = None
        for _ in range(300):
            time.sleep(0.1)
            found = psutil.Process(run.pid).children(recursive=True)
            shard = next((p for p in found if "processes.worker" in " ".join(p.cmdline())), None)
            if shard and list(results.glob("runs/*/*/output.log")):
                break
        assert shard is not None
        time.sleep(1.0)
        shard.kill()
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 1, out
    (path,) = results.glob("runs/*/*/record.json")
    record = RunRecord.read(path)
    assert record.status == "crashed"
    assert record.reason == "ended by SIGKILL; last output: the process of shard 1 was ended by SIGKILL"


def test_a_shared_array_is_the_same_memory_elsewhere() -> None:
    shared = SharedArray((3, 4), np.float32)
    assert not shared.array.any()
    other = attached(shared.fd, (3, 4), np.float32)
    shared.close()
    shared.array[1, 2] = 5
    assert other[1, 2] == 5
    assert other.sum() == 5


def test_a_shared_array_that_is_too_large_is_a_lack_of_memory() -> None:
    with pytest.raises(MemoryError, match=r"no 1,125,899,906,842,624 bytes for an array .* of uint8"):
        SharedArray((2**50,), np.uint8)
