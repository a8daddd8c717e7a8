"""Checkpoints that are damaged, another run's, or cannot be written: a run uses what is whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.store.record import RunRecord
from tests.support.checkpoints import (
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
from tests.support.children import Shadow, sabotage, sabotaged


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
        pytest.param(
            Path.unlink,
            ".safetensors",
            "not readable: [Errno 2] No such file",
            marks=pytest.mark.long,
        ),
        pytest.param(cut, ".json", "not readable: ", marks=pytest.mark.long),
        pytest.param(change, ".json", "its content has changed since it was written", marks=pytest.mark.long),
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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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
