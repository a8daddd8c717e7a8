"""A run that is killed at any point and started again ends as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from harness.errors import StoreError
from harness.store.checkpoint import Checkpoints
from harness.store.record import RunRecord
from tests.conftest import ROOT, environment, python
from tests.support.checkpoints import BASE, EPOCHS, KEEP, KILLED_IN_EPOCH, NUMPY, checkpoint, curves, equal
from tests.support.children import Shadow, sabotage, sabotaged

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


def call(results: Path, overrides: tuple[str, ...], env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit status and stderr of `python run.py …`."""
    done = python("run.py", f"results.root={results}", *BASE, *overrides, env=environment(**(env or {})))
    return done.returncode, done.stderr


def records(results: Path) -> list[RunRecord]:
    """All attempts, the newest last."""
    return [RunRecord.read(path) for path in sorted(results.glob("runs/*/*/record.json"))]


def kept(results: Path) -> list[str]:
    """The names of all files of checkpoints."""
    return sorted(path.name for path in results.glob("runs/*/checkpoint/*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], RunRecord]:
    """The record of a run that nothing happened to, and that kept no checkpoints."""
    found: dict[tuple[str, ...], RunRecord] = {}

    def record(overrides: tuple[str, ...]) -> RunRecord:
        if overrides not in found:
            results = tmp_path_factory.mktemp("undisturbed")
            status, err = call(results, overrides)
            assert status == 0, err
            (found[overrides],) = records(results)
            assert "resumed" not in found[overrides].details
        return found[overrides]

    return record


def same(found: RunRecord, expected: RunRecord) -> None:
    """The same run to the last bit, timing aside."""
    assert found.status == "ok", found.reason
    assert found.key == expected.key
    assert curves(found) == curves(expected)
    weights, others = (Path(str(record.weights_path)).read_bytes() for record in (found, expected))
    assert weights == others
    for name in ("test_accuracy", "test_loss", "train_loss", "best_validation_accuracy", "steps_to_target"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.details["confusion"] == expected.details["confusion"]


def whole(record: RunRecord, epochs: list[int], attempts: list[RunRecord]) -> None:
    """What a record says about the parts it was made in: the first ended after `epochs[0]`, …"""
    resumed = record.details["resumed"]
    assert [attempt["epoch"] for attempt in resumed] == epochs
    assert [attempt["started"] for attempt in resumed] == [attempt.started for attempt in attempts]
    windows = record.timing["windows"]
    edges = [0, *epochs, EPOCHS]
    for window in windows:
        part = window["part"]
        assert edges[part - 1] < window["epoch"] <= edges[part], window
    assert {window["epoch"] for window in windows} == set(range(1, EPOCHS + 1))
    assert sum(window["steps"] for window in windows) == EPOCHS * (1318 // record.batch_size)
    assert sum(window["seconds"] for window in windows) == pytest.approx(record.train_seconds)
    for epoch in record.history:
        spent = sum(window["seconds"] for window in windows if window["epoch"] == epoch["epoch"])
        assert epoch["seconds"] == pytest.approx(spent)


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


# What lies there is not always what was written


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with the checkpoints after epochs 2 and 3 of a run that was killed."""
    folder = tmp_path_factory.mktemp("killed")
    env = sabotaged(folder, KILLED_IN_EPOCH.format(epoch=3))
    status, err = call(folder / "results", (*NUMPY, KEEP), env)
    assert status == 1, err
    assert [name for name in kept(folder / "results") if name.endswith("json")] == [
        "epoch-00000002.json",
        "epoch-00000003.json",
    ]
    return folder / "results"


@pytest.fixture
def copied(killed: Path, results: Path) -> Path:
    """A copy of them; the directory of the checkpoints in it."""
    shutil.copytree(killed, results)
    (directory,) = results.glob("runs/*/checkpoint")
    return directory


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def change(path: Path) -> None:
    text = path.read_text()
    assert '"best": ' in text
    path.write_text(text.replace('"best": 0.', '"best": 1.'))


@pytest.mark.parametrize(
    ("damage", "suffix", "said"),
    [
        (flip, ".safetensors", "the safetensors file beside it is not the one that was written with it"),
        (Path.unlink, ".safetensors", "not readable: [Errno 2] No such file"),
        (cut, ".json", "not readable: "),
        (change, ".json", "its content has changed since it was written"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    results: Path,
    copied: Path,
    undisturbed: Callable[..., RunRecord],
    damage: Callable[[Path], None],
    suffix: str,
    said: str,
) -> None:
    damage(copied / f"epoch-00000003{suffix}")
    status, err = call(results, (*NUMPY, KEEP))
    assert status == 0, err
    assert "resuming after epoch 2" in err
    crashed, record = records(results)
    same(record, undisturbed(NUMPY))
    whole(record, [2], [crashed])
    (passed_over,) = record.details["checkpoints_passed_over"]
    assert passed_over.startswith(f"{copied / 'epoch-00000003.json'}: {said}")
    log = Path(str(record.record_path)).parent / "output.log"
    assert f"passed over: {passed_over}" in log.read_text()


def from_the_start(results: Path, expected: RunRecord, said: str) -> None:
    """The next call uses nothing of what is there, and its record says why."""
    status, err = call(results, (*NUMPY, KEEP))
    assert status == 0, err
    assert "resuming" not in err
    *_, record = records(results)
    same(record, expected)
    assert "resumed" not in record.details
    assert len(record.details["checkpoints_passed_over"]) == 2
    assert all(said in text for text in record.details["checkpoints_passed_over"])
    assert {window["part"] for window in record.timing["windows"]} == {1}


def test_two_damaged_checkpoints(results: Path, copied: Path, undisturbed: Callable[..., RunRecord]) -> None:
    for path in copied.glob("*.json"):
        cut(path)
    from_the_start(results, undisturbed(NUMPY), "not readable")


def test_checkpoints_of_another_run(
    results: Path, copied: Path, undisturbed: Callable[..., RunRecord]
) -> None:
    """Those of another seed, put in the place of this run's."""
    call(results, (*NUMPY, KEEP, "seed=1", "run.timeout_seconds=0.01"))
    (other,) = (path for path in (results / "runs").iterdir() if path != copied.parent)
    shutil.copytree(copied, other / "checkpoint")
    status, err = call(results, (*NUMPY, KEEP, "seed=1"))
    assert status == 0, err
    assert "resuming" not in err
    (record,) = (record for record in records(results) if record.seed == 1 and record.ok)
    assert "resumed" not in record.details
    first, second = record.details["checkpoints_passed_over"]
    assert f"belongs to the run {copied.parent.name}, not to {other.name}" in first
    assert "epoch-00000002.json" in second
    assert len(list(copied.iterdir())) == 4  # the first run's, untouched
    assert curves(record) != curves(undisturbed(NUMPY))


def test_checkpoints_of_another_version(
    results: Path, copied: Path, undisturbed: Callable[..., RunRecord]
) -> None:
    for path in copied.glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    from_the_start(results, undisturbed(NUMPY), "schema 99 is unknown to this version, which reads schema 1")


def test_everything_again_means_from_the_start(
    results: Path, copied: Path, undisturbed: Callable[..., RunRecord]
) -> None:
    status, err = call(results, (*NUMPY, KEEP, "sweep.rerun=all"))
    assert status == 0, err
    assert "resuming" not in err
    record = records(results)[-1]
    same(record, undisturbed(NUMPY))
    assert "resumed" not in record.details
    assert not copied.exists()


def test_what_is_kept_is_used_by_a_run_that_keeps_nothing_itself(
    results: Path, copied: Path, undisturbed: Callable[..., RunRecord]
) -> None:
    status, err = call(results, NUMPY)
    assert status == 0, err
    crashed, record = records(results)
    same(record, undisturbed(NUMPY))
    whole(record, [3], [crashed])
    copied.mkdir()
    assert call(results, NUMPY)[0] == 0  # complete: what a launcher that was killed then has left is removed
    assert not copied.exists()
    assert len(records(results)) == 2


def test_a_full_disk(results: Path, shadow: Shadow, undisturbed: Callable[..., RunRecord]) -> None:
    code = """
import errno, os
real, calls = os.fsync, []
def fsync(fd):
    calls.append(fd)
    if len(calls) == 5:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real(fd)
os.fsync = fsync
"""
    status, err = call(results, (*NUMPY, KEEP), sabotage(shadow, code))
    assert status == 1, err
    assert kept(results) == ["epoch-00000001.json", "epoch-00000001.safetensors"]
    (failed,) = records(results)
    assert failed.status == "failed"
    directory = (results / "runs" / failed.key / "checkpoint").resolve()
    assert failed.reason == (
        f"train.checkpoint_epochs: the checkpoint after epoch 2 cannot be written to {directory}: "
        "No space left on device"
    )
    assert call(results, (*NUMPY, KEEP))[0] == 0
    record = records(results)[-1]
    same(record, undisturbed(NUMPY))
    whole(record, [1], [failed])


def test_a_checkpoint_every_so_many_epochs(results: Path, shadow: Shadow) -> None:
    env = sabotage(shadow, KILLED_IN_EPOCH.format(epoch=3))
    call(results, (*NUMPY, "train.checkpoint_epochs=2"), env)
    assert kept(results) == ["epoch-00000002.json", "epoch-00000002.safetensors"]


# The files themselves


def test_the_last_two_are_kept_as_they_were_written(tmp_path: Path) -> None:
    directory = tmp_path / "checkpoint"
    writer = Checkpoints(directory, "abc")
    assert writer.newest() is None
    for epoch in (1, 2, 9, 10, 100):
        writer.write(checkpoint(epoch))
        assert equal(Checkpoints(directory, "abc").newest(), checkpoint(epoch))
    assert sorted(path.name for path in directory.iterdir()) == [
        f"epoch-{epoch:08d}{suffix}" for epoch in (10, 100) for suffix in (".json", ".safetensors")
    ]


def test_what_was_left_half_written_is_removed(tmp_path: Path) -> None:
    writer = Checkpoints(tmp_path, "abc")
    writer.write(checkpoint(3))
    for name in ("epoch-00000004.safetensors", ".epoch-00000004.json.x1_y", ".epoch-00000005.safetensors.z"):
        (tmp_path / name).write_bytes(b"half")
    again = Checkpoints(tmp_path, "abc")
    assert equal(again.newest(), checkpoint(3))
    assert again.skipped == []
    again.write(checkpoint(6))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"epoch-0000000{epoch}{suffix}" for epoch in (3, 6) for suffix in (".json", ".safetensors")
    ]


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    """Every bit of the document, every byte of the tensors: the newest as it was, or the one before."""
    writer = Checkpoints(tmp_path, "abc")
    writer.write(checkpoint(1))
    writer.write(checkpoint(2))
    rng = np.random.default_rng(0)
    noticed = 0
    for suffix in ("json", "safetensors"):
        path = tmp_path / f"epoch-00000002.{suffix}"
        content = path.read_bytes()
        for at in range(len(content)):
            damaged = bytearray(content)
            damaged[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            reader = Checkpoints(tmp_path, "abc")
            found = reader.newest()
            assert equal(found, checkpoint(1 if reader.skipped else 2)), (suffix, at)
            noticed += bool(reader.skipped)
        for size in range(len(content) - 1):
            path.write_bytes(content[:size])
            reader = Checkpoints(tmp_path, "abc")
            assert equal(reader.newest(), checkpoint(1)), (suffix, size)
        path.write_bytes(content)
    assert noticed > 500


def test_a_directory_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text("a file")
    with pytest.raises(StoreError, match="the checkpoint after epoch 1 cannot be written to"):
        Checkpoints(tmp_path / "checkpoint", "abc").write(checkpoint(1))
