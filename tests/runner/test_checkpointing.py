"""A run that is killed at any point and started again ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from harness.store.record import RunRecord
from tests.conftest import ROOT, environment
from tests.support.checkpoints import (
    BASE,
    EPOCHS,
    KEEP,
    KILLED_IN_EPOCH,
    NUMPY,
    call,
    curves,
    kept,
    records,
    same,
    whole,
)
from tests.support.children import Shadow, sabotage

TORCH = ("backend=torch", "model.layers=2", "model.dropout=0.3")
CASES = [
    NUMPY,
    (
        "backend=numpy",
        "threads=2",
        "train.batch_size=64",
        "model.layers=2",
        "model.dropout=0.3",
        "train.optimizer=momentum",
        "train.schedule=step",
        "train.learning_rate=0.05",
    ),
    ("backend=numpy", "train.optimizer=rmsprop", "train.truncate=7"),
    TORCH,
    (
        "backend=torch",
        "threads=2",
        "backend.implementation=loop",
        "cell=gru",
        "model.layers=2",
        "model.dropout=0.3",
        "train.optimizer=rmsprop",
        "train.clip_norm=1",
    ),
    ("backend=torch", "cell=rnn", "train.optimizer=sgd", "train.schedule=constant"),
]

# what a child does before anything else: dies, as the kernel would have it, within the n-th `fsync`, half of
# what it was to write lost. Each checkpoint has four: tensors, directory, document, directory.
KILLED_IN_SYNC = """
import os, stat
real, calls = os.fsync, []
def fsync(fd):
    calls.append(fd)
    if len(calls) == {number}:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.ftruncate(fd, os.fstat(fd).st_size // 2)
        os.kill(os.getpid(), 9)
    real(fd)
os.fsync = fsync
"""
# dies when the oldest generation is being removed
KILLED_IN_REMOVAL = """
import os, pathlib
def unlink(self, missing_ok=False):
    os.unlink(self)
    os.kill(os.getpid(), 9)
pathlib.Path.unlink = unlink
"""
KILLED_AFTER_TRAINING = """
import os
import harness.runner.evaluation as evaluation
evaluation.test = lambda *_: os.kill(os.getpid(), 9)
"""
# waits for ever after the checkpoint of the second epoch
STUCK = """
import time
import harness.store.checkpoint as checkpoint
write = checkpoint.Checkpoints.write
def stuck(self, found):
    write(self, found)
    if found.epoch == 2:
        time.sleep(600)
checkpoint.Checkpoints.write = stuck
"""


def started(results: Path, overrides: tuple[str, ...], env: dict[str, str] | None = None) -> subprocess.Popen:
    command = [sys.executable, "run.py", f"results.root={results}", *BASE, *overrides]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(**(env or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def marked(case: tuple[str, ...]) -> object:
    marks = [pytest.mark.alone] if "threads=2" in case else []
    if case != NUMPY:
        marks.append(pytest.mark.long)
    return pytest.param(case, id=" ".join(case), marks=marks)


@pytest.mark.parametrize("case", [marked(case) for case in CASES])
def test_a_killed_run_ends_bit_identical(
    results: Path, shadow: Shadow, undisturbed: Callable[..., RunRecord], case: tuple[str, ...]
) -> None:
    env = sabotage(shadow, KILLED_IN_EPOCH.format(epoch=2))
    status, err = call(results, (*case, KEEP), env)
    assert status == 1, err
    names = [f"epoch-0000000{epoch}{suffix}" for epoch in (1, 2) for suffix in (".json", ".safetensors")]
    assert kept(results) == names
    status, err = call(results, (*case, KEEP))
    assert status == 0, err
    assert "resuming after epoch 2" in err
    crashed, record = records(results)
    assert (crashed.status, len(crashed.history)) == ("crashed", 2)
    same(record, undisturbed(case))
    whole(record, [2], [crashed])
    assert not list(results.glob("runs/*/checkpoint"))


def at(moment: str, code: str, epoch: int, *marks: pytest.MarkDecorator) -> object:
    return pytest.param(code, epoch, id=moment, marks=marks)


@pytest.mark.parametrize(
    ("code", "epoch"),
    [
        at("in epoch 1", KILLED_IN_EPOCH.format(epoch=0), 0, pytest.mark.long),
        at("first document", KILLED_IN_SYNC.format(number=3), 0, pytest.mark.long),
        at("first, all but synced", KILLED_IN_SYNC.format(number=4), 1, pytest.mark.long),
        at("third tensors", KILLED_IN_SYNC.format(number=9), 2, pytest.mark.long),
        at("third document", KILLED_IN_SYNC.format(number=11), 2),
        at("removal of the first", KILLED_IN_REMOVAL, 3, pytest.mark.long),
        at("evaluation", KILLED_AFTER_TRAINING, 4),
    ],
)
def test_killed_at_any_moment(
    results: Path, shadow: Shadow, undisturbed: Callable[..., RunRecord], code: str, epoch: int
) -> None:
    status, err = call(results, (*NUMPY, KEEP), sabotage(shadow, code))
    assert status == 1, err
    status, err = call(results, (*NUMPY, KEEP))
    assert status == 0, err
    crashed, record = records(results)
    assert (crashed.status, crashed.reason) == ("crashed", "ended by SIGKILL, no output")
    same(record, undisturbed(NUMPY))
    if epoch:
        assert f"resuming after epoch {epoch}" in err
        whole(record, [epoch], [crashed])
    else:
        assert "resuming" not in err
        assert "resumed" not in record.details
    assert "checkpoints_passed_over" not in record.details
    assert not list(results.glob("runs/*/checkpoint"))


@pytest.mark.long
def test_killed_again_and_again(results: Path, shadow: Shadow, undisturbed: Callable[..., RunRecord]) -> None:
    """Every attempt dies in the second checkpoint that it writes, until one has but one left to write."""
    env = sabotage(shadow, KILLED_IN_SYNC.format(number=6))
    statuses = [call(results, (*TORCH, KEEP), env)[0] for _ in range(EPOCHS)]
    assert statuses == [1, 1, 1, 0]
    *crashed, record = records(results)
    same(record, undisturbed(TORCH))
    whole(record, [1, 2, 3], crashed)


@pytest.mark.parametrize(
    "who", [*(pytest.param(who, marks=pytest.mark.long) for who in ("tree", "launcher")), "ctrl-c"]
)
def test_whoever_is_killed(
    results: Path, shadow: Shadow, undisturbed: Callable[..., RunRecord], who: str
) -> None:
    process = started(results, (*NUMPY, KEEP), sabotage(shadow, STUCK))
    deadline = time.monotonic() + 60
    while "epoch-00000002.json" not in kept(results):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    if who == "tree":
        for member in family:
            os.kill(member.pid, signal.SIGKILL)
    else:
        process.send_signal(signal.SIGKILL if who == "launcher" else signal.SIGINT)
    process.communicate(timeout=30)
    psutil.wait_procs(family[1:], timeout=10)
    assert [found.status for found in records(results)] == (["interrupted"] if who == "ctrl-c" else [])
    status, err = call(results, (*NUMPY, KEEP))
    assert status == 0, err
    assert "resuming after epoch 2" in err
    same(records(results)[-1], undisturbed(NUMPY))
    assert not list(results.glob("runs/*/checkpoint"))


@pytest.mark.long
def test_keras_goes_on_too(results: Path, shadow: Shadow, undisturbed: Callable[..., RunRecord]) -> None:
    case = ("backend=keras", "model.layers=2", "model.dropout=0.3")
    call(results, (*case, KEEP), sabotage(shadow, KILLED_IN_EPOCH.format(epoch=2)))
    status, err = call(results, (*case, KEEP))
    assert status == 0, err
    crashed, record = records(results)
    whole(record, [2], [crashed])
    np.testing.assert_allclose(curves(record), curves(undisturbed(case)), rtol=1e-6)
    assert record.test_loss == pytest.approx(undisturbed(case).test_loss, rel=1e-6)
