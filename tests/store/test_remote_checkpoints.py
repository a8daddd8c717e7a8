"""A run whose results go to a URL copies its checkpoints there: another machine goes on from them."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

import harness
from harness.errors import StoreError
from harness.store import attempts, remote, remote_checkpoints
from harness.store.checkpoint import Checkpoints
from harness.store.record import RunRecord
from tests.conftest import ROOT, environment
from tests.support import here
from tests.support.checkpoints import BASE, KEEP, KILLED_IN_EPOCH, NUMPY, checkpoint, curves, equal
from tests.support.children import sabotage

Shadow = Callable[[str, str], dict[str, str]]
RUN = (*BASE, *NUMPY, KEEP)
NAMES = [f"epoch-0000000{epoch}{suffix}" for epoch in (1, 2) for suffix in (".json", ".safetensors")]


def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From now on this is a machine that has never seen the run."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "another"))
    remote.remote_root.cache_clear()  # which knows where this user's cache is


def there(root: str) -> list[str]:
    """The names of the copies at a root."""
    files, base = fsspec.url_to_fs(root)
    files.invalidate_cache()
    return sorted(path.rpartition("/")[2] for path in files.find(base) if "/checkpoint/" in path)


def weights(record: RunRecord) -> bytes:
    with fsspec.open(str(record.weights_path), "rb") as file:
        return bytes(file.read())


@pytest.mark.parametrize(
    "scheme", ["memory", *(pytest.param(name, marks=pytest.mark.long) for name in ("file", "here", "moved"))]
)
def test_another_machine_goes_on(
    tmp_path: Path, shadow: Shadow, monkeypatch: pytest.MonkeyPatch, url: str, scheme: str
) -> None:
    place = f"memory://{tmp_path.name}" if scheme == "memory" else f"{scheme}://{tmp_path}/bucket"
    with monkeypatch.context() as killing:
        for name, value in sabotage(shadow, KILLED_IN_EPOCH.format(epoch=2)).items():
            killing.setenv(name, value)
        crashed = harness.run([f"results.root={place}", *RUN])
    assert (crashed.status, len(crashed.history)) == ("crashed", 2)
    assert there(place) == NAMES
    elsewhere(monkeypatch, tmp_path)
    record = harness.run([f"results.root={place}", *RUN])
    assert record.ok, record.reason
    assert [attempt["epoch"] for attempt in record.details["resumed"]] == [2]
    assert there(place) == []
    undisturbed = harness.run([f"results.root={tmp_path / 'undisturbed'}", *BASE, *NUMPY])
    assert curves(record) == curves(undisturbed)
    assert weights(record) == weights(undisturbed)


def command(root: str, *overrides: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", f"results.root={root}", *RUN, *overrides],
        cwd=ROOT,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.long
def test_everything_again_means_from_the_start(
    tmp_path: Path, shadow: Shadow, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """In processes of their own, as a cluster's jobs are."""
    child = "".join(f"    {line}\n" for line in KILLED_IN_EPOCH.format(epoch=2).splitlines())
    killing = shadow(
        "sitecustomize",
        f"import sys\n{here.REGISTER}\nif 'harness.runner' in sys.orig_argv:\n{child}",
    )
    assert command(url, env=killing).returncode == 1
    assert there(url) == NAMES
    elsewhere(monkeypatch, tmp_path)
    done = command(url, "sweep.rerun=all", env=shadow("sitecustomize", here.REGISTER))
    assert done.returncode == 0, done.stderr
    assert "resuming" not in done.stderr
    assert there(url) == []


class Refusing(here.Here):
    """Takes records, and no checkpoints."""

    protocol = "refusing"

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        if "/checkpoint/" in rpath:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), rpath)
        super().put_file(lpath, rpath, **kwargs)


def test_an_upload_that_fails_is_said_and_ends_nothing(
    tmp_path: Path, shadow: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    place = f"refusing://{tmp_path}/bucket"
    with monkeypatch.context() as killing:
        for name, value in sabotage(shadow, KILLED_IN_EPOCH.format(epoch=2)).items():
            killing.setenv(name, value)
        crashed = harness.run([f"results.root={place}", *RUN])
    assert there(place) == []
    assert crashed.details["checkpoints_not_uploaded"]["epochs"] == [1, 2]
    assert "No space left on device" in crashed.details["checkpoints_not_uploaded"]["reason"]
    (log,) = (tmp_path / "bucket").glob("runs/*/*/output.log")
    assert log.read_text().count("is not uploaded: ") == 2
    record = harness.run([f"results.root={place}", *RUN])  # the local ones are there
    assert record.ok
    assert [attempt["epoch"] for attempt in record.details["resumed"]] == [2]
    assert record.details["checkpoints_not_uploaded"]["epochs"] == [3, 4]


def kept(place: str, *epochs: int) -> None:
    """Writes checkpoints of the run `abc` on this machine, and copies each."""
    writer = Checkpoints(attempts.checkpoint_directory(place, "abc"), "abc")
    attempts.checkpoint_directory(place, "abc").parent.mkdir(parents=True, exist_ok=True)
    for epoch in epochs:
        writer.write(checkpoint(epoch))
        remote_checkpoints.upload(place, "abc", epoch)


def newest(place: str) -> tuple[Any, list[str]]:
    """What a run would go on from, and what it would pass over."""
    remote_checkpoints.download(place, "abc")
    reader = Checkpoints(attempts.checkpoint_directory(place, "abc"), "abc")
    return reader.newest(), reader.skipped


def test_two_generations_are_kept_and_the_newer_side_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    kept(url, 1, 2, 3)
    assert [name[:14] for name in there(url)] == ["epoch-00000002"] * 2 + ["epoch-00000003"] * 2
    with monkeypatch.context() as other:
        elsewhere(other, tmp_path)
        kept(url, 9)
        assert [name[:14] for name in there(url)] == ["epoch-00000009"] * 2
    remote.remote_root.cache_clear()
    assert equal(newest(url)[0], checkpoint(9))  # that of the other machine
    writer = Checkpoints(attempts.checkpoint_directory(url, "abc"), "abc")
    writer.write(checkpoint(10))  # not uploaded
    assert equal(newest(url)[0], checkpoint(10))


def test_a_damaged_copy_is_passed_over_and_a_damaged_local_one_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    kept(url, 1, 2)
    local = attempts.checkpoint_directory(url, "abc") / "epoch-00000002.json"
    local.write_bytes(local.read_bytes()[:-40])
    assert equal(newest(url)[0], checkpoint(2))
    (remote,) = (tmp_path / "bucket").rglob("epoch-00000002.safetensors")
    remote.write_bytes(remote.read_bytes()[:-1])
    assert equal(newest(url)[0], checkpoint(2))  # what is whole here stays
    elsewhere(monkeypatch, tmp_path)
    found, passed_over = newest(url)
    assert equal(found, checkpoint(1))
    assert len(passed_over) == 1


def test_whoever_may_not_delete_keeps_more_than_two(tmp_path: Path) -> None:
    class Undeletable(here.Here):
        protocol = "undeletable"

        def rm_file(self, path: str) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    fsspec.register_implementation("undeletable", Undeletable, clobber=True)
    place = f"undeletable://{tmp_path}/bucket"
    attempts.check_writable(place)
    kept(place, 1, 2, 3)
    assert len(there(place)) == 6


def test_strange_names_stay_where_they_are(tmp_path: Path, url: str) -> None:
    kept(url, 1)
    place = tmp_path / "bucket" / "runs" / "abc" / "checkpoint"
    for name in ("epoch-00000007.sh", "epoch-99.json", "x.json", ".epoch-00000001.json.7"):
        (place / name).write_text("{}")
    assert equal(newest(url)[0], checkpoint(1))
    assert sorted(path.name for path in attempts.checkpoint_directory(url, "abc").iterdir()) == NAMES[:2]


def test_a_store_that_cannot_be_read_is_said(tmp_path: Path, url: str) -> None:
    class Unreadable(here.Here):
        protocol = "unreadable"

        def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
            raise ConnectionError("no route to the bucket")

    fsspec.register_implementation("unreadable", Unreadable, clobber=True)
    kept(url, 1)
    with pytest.raises(StoreError, match=r"cannot be read .*no route to the bucket"):
        remote_checkpoints.download(url.replace("here", "unreadable"), "abc")
