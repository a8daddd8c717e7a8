"""The store: one whole document per attempt, any number of writers, a directory or a URL, read quickly."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pandas
import pytest

import harness
from harness.errors import StoreError
from harness.measure.clock import now
from harness.store import attempts, frames
from harness.store.frames import LAZY
from harness.store.local import LocalRoot
from harness.store.record import COLUMNS, DETAIL, RunRecord
from tests.conftest import ROOT, SMALL, Shell, environment
from tests.support import here
from tests.support.records import record
from tests.support.refusals import refused
from tests.support.stores import files, stored

Shadow = Callable[[str, str], dict[str, str]]


# many at once

WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from harness.store import attempts
from harness.measure.clock import now
from harness.store.record import RunRecord
root, pattern, writer = sys.argv[1:]
like = RunRecord.read(Path(pattern))
for n in range(50):
    key = f"shared{n % 5}" if int(writer) % 2 else f"{writer}x{n}"
    record = replace(like, key=key, seed=n, reason=writer, record_path=None)
    attempts.store(record, root, attempts.new_attempt(root, key, now()))
"""


@pytest.mark.long
def test_sixteen_writers_and_a_reader(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = attempts.write_record(record(timing={"windows": [0.5] * 2000}), tmp_path)
    attempts.check_writable(results)
    command = [sys.executable, "-c", WRITER, str(results), str(pattern)]
    writers = [subprocess.Popen([*command, str(n)], cwd=ROOT) for n in range(16)]
    looks = 0
    while any(writer.poll() is None for writer in writers):
        assert all(len(found.timing["windows"]) == 2000 for found in frames.records(results))
        looks += 1
    assert [writer.returncode for writer in writers] == [0] * 16
    assert looks > 3
    found = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    assert len(found) == 800
    assert len({(one.reason, one.seed) for one in found}) == 800
    assert len(harness.load(results)) == 8 * 50 + 5
    assert "passed over" not in capsys.readouterr().err
    assert len(files(results)) == 800


# URLs


def test_a_run_in_memory_from_python() -> None:
    overrides = ["results.root=memory://runs-of-a-test/", "backend=numpy", "save_weights=true", *SMALL]
    made = harness.run(overrides)
    assert made.ok, made.reason
    place = f"memory://runs-of-a-test/runs/{made.key}/"
    assert str(made.record_path).startswith(place)
    with fsspec.open(str(made.record_path), "rb") as file:
        assert RunRecord.parse(file.read(), "it").key == made.key
    with fsspec.open(str(made.weights_path), "rb") as file:
        assert file.read(8)
    frame = harness.load("memory://runs-of-a-test")
    assert frame.loc[0, "test_accuracy"] == made.test_accuracy
    assert frame.loc[0, "record_path"] == made.record_path
    assert harness.run(overrides).started == made.started  # complete already
    assert harness.run([*overrides, "sweep.rerun=all"]).started > made.started
    assert len(harness.load("memory://runs-of-a-test")) == 1
    assert len(fsspec.filesystem("memory").glob("/runs-of-a-test/runs/*/*/record.json")) == 2


def test_files_by_url_are_a_directory(run: Shell, harness_command: Shell, results: Path) -> None:
    done = run("-m", f"results.root=file://{results}", "backend=numpy", "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert len(list(results.glob("runs/*/*/output.log"))) == 2
    assert len(list(results.glob("sweeps/*/multirun.yaml"))) == 1
    assert not (ROOT / "file:").exists()
    table = harness_command("table", "--results", f"file://{results}")
    assert re.search(r"\| numpy +\| lstm +\|.*\|   2 \|", table.stdout), table.stderr
    assert list(harness.load(f"file://{results}")["key"]) == list(harness.load(results)["key"])


@pytest.mark.long
def test_a_sweep_into_a_bucket(
    harness_command: Shell, tmp_path: Path, shadow: Shadow, cache: Path, url: str
) -> None:
    """Two at once; each run is made once, uploaded whole, and nothing is left on this machine."""
    env = shadow("sitecustomize", here.REGISTER) | {"PYTHONPATH": f"{tmp_path / 'shadow'}{os.pathsep}{ROOT}"}
    command = [sys.executable, str(ROOT / "run.py"), "-m", f"results.root={url}", "backend=numpy", *SMALL]
    sweeps = [
        subprocess.Popen(
            [*command, "seed=0,1"],
            cwd=tmp_path,
            env=environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for sweep in sweeps:
        out, err = sweep.communicate(timeout=200)
        assert sweep.returncode == 0, err
        assert re.search(r"\| numpy +\| lstm +\| +0\.\d+.*\|   2 \|", out), out
    stored = files(tmp_path / "bucket" / "runs")
    assert {Path(name).name for name in stored} == {"record.json", "output.log"}
    assert len(stored) == 4
    assert len(files(tmp_path / "bucket" / "sweeps")) == 4  # what each run says of itself
    assert files(cache / "harness" / "staging") == set()
    assert len(list((cache / "harness" / "sweeps").iterdir())) == 2
    assert not (tmp_path / "results").exists()
    done = harness_command("table", "--results", url, env=env)
    assert re.search(r"\| numpy +\| lstm +\|.*\|   2 \|", done.stdout), done.stderr
    # a copy of it is a directory of results like any other
    assert len(harness.load(tmp_path / "bucket")) == 2


def test_a_document_is_moved_into_its_place_where_that_can_be_done(tmp_path: Path, url: str) -> None:
    kept = stored(url.replace("here", "moved"), record())
    ((beside, path),) = here.Moved.moves
    assert path.endswith(f"/runs/{kept.key}/{Path(path).parts[-2]}/record.json")
    assert "/.record.json." in beside
    assert len(files(tmp_path / "bucket")) == 1


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("nowhere://bucket", ["Protocol not known: nowhere", "file://, s3://"]),
        ("simplecache::nowhere://bucket", ["cannot be used"]),
        ("hdf5s://x", ["hdf5s"]),
        ("sftp://me:secret@host/results", ["password", "FSSPEC_SFTP_PASSWORD"]),
        ("file://here/results", ["must be an absolute path"]),
        ("memory://a*", ["must not contain * ? ["]),
    ],
)
def test_a_root_that_cannot_be_used_is_refused_first(run: Shell, root: str, words: list[str]) -> None:
    for more in ((), ("-m", "seed=0,1")):
        said = refused(run("backend=numpy", f"results.root='{root}'", *more), "results.root", *words)
        assert "epoch" not in said
        assert "secret" not in said


def test_a_missing_driver_says_what_to_install(run: Shell, shadow: Shadow) -> None:
    env = shadow("s3fs", "raise ModuleNotFoundError(\"No module named 's3fs'\")")
    done = run("backend=numpy", "results.root=s3://bucket/results", env=env)
    refused(done, "results.root=s3://bucket/results", "pip install -c constraints.txt s3fs")


def test_no_permission_is_found_before_anything_runs(url: str, tmp_path: Path) -> None:
    (tmp_path / "bucket").write_text("in the way")
    with pytest.raises(StoreError, match=r"results.root=here://.*cannot be written to"):
        harness.run([f"results.root={url}", "backend=numpy", *SMALL])
    with pytest.raises(StoreError, match="no such results"):
        harness.load(f"{url}-that-is-not-there")


# which attempt is a run's row


def test_attempts_sort_as_they_were_made_whatever_the_clock_says(results: Path, url: str) -> None:
    """The clock is moved back an hour, and stands still."""
    start = now()
    for root in (results, url):
        for n, when in enumerate((start, start - timedelta(hours=1), start, start)):
            stored(root, record(seed=n, key="one", started=when.isoformat()), when)
        found = attempts.find_complete(root, "one", with_weights=False)
        assert found is not None
        assert found.seed == 3
        assert list(harness.load(root)["seed"]) == [3]
    assert len(list(results.glob("runs/one/*/record.json"))) == 4


def test_an_ok_attempt_beats_all_others(results: Path) -> None:
    start = now()
    stored(results, record("failed", "earlier", key="one"), start)
    stored(results, record(key="one"), start)
    stored(results, record("interrupted", "later", key="one"), start + timedelta(days=1))
    assert list(harness.load(results)["status"]) == ["ok"]


def test_a_directory_that_is_there_already_is_another_attempts(results: Path) -> None:
    moment = now()
    for name in ("99991231T235959.999999", "checkpoint", "20260231T999999.000000"):
        (results / "runs" / "one" / name).mkdir(parents=True)
    first, second = (attempts.new_attempt(results, "one", moment) for _ in range(2))
    assert first.name == moment.strftime("%Y%m%dT%H%M%S.%f")
    assert second.name > first.name


def test_merging_is_copying(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    stored(results, record(seed=0, key="both"))
    stored(other, record("failed", "there", key="both"))
    stored(other, record(seed=1, key="there"))
    subprocess.run(["cp", "-R", f"{other}/runs/.", f"{results}/runs/"], check=True)
    assert sorted(harness.load(results)["status"]) == ["ok", "ok"]


# reading


def plain(root: Path) -> pandas.DataFrame:
    """What `load` reads, the simple way."""
    found = [RunRecord.read(path) for path in sorted(root.glob("runs/*/*/record.json"))]
    rows = [{name: getattr(one, name) for name in (*COLUMNS, *DETAIL)} for one in found]
    return pandas.DataFrame(sorted(rows, key=lambda row: row["started"]), columns=[*COLUMNS, *DETAIL])


@pytest.fixture
def many(results: Path) -> Path:
    """More records than are read without a cache."""
    start, likes = now(), [record("failed", "why"), record(), record()]
    for n in range(LocalRoot.cached_from + 20):
        found = replace(
            likes[n % 3],
            key=f"key{n}",
            seed=n,
            started=(start + timedelta(seconds=n)).isoformat(),
            train_loss=0.5 + n if n % 2 else None,
            history=[{"epoch": 1, "train_loss": n / 7}],
            timing={"windows": [{"steps": n, "seconds": 0.1 * n}]},
            weights_path=None if n % 5 else "weights.safetensors",
        )
        stored(results, found)
    return results


def same(frame: pandas.DataFrame, other: pandas.DataFrame) -> None:
    for name in LAZY:
        assert [type(value) for value in frame[name]] == [type(value) for value in other[name]]
    frame, other = (one.astype(dict.fromkeys(LAZY, object)) for one in (frame, other))
    assert list(frame.dtypes) == list(other.dtypes)
    pandas.testing.assert_frame_equal(frame, other)


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The attempts whose documents are opened from now on."""
    found: list[str] = []
    read = LocalRoot.read

    def noted(self: LocalRoot, attempts: Any, warn: Any) -> Any:
        found.extend(attempt.name for attempt in attempts)
        return read(self, attempts, warn)

    monkeypatch.setattr(LocalRoot, "read", noted)
    return found


def test_the_cache_changes_nothing_but_what_is_opened(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = opened(monkeypatch)
    first = harness.load(many)
    assert len(looked) == len(first)
    looked.clear()
    again = harness.load(many)
    assert looked == []
    for frame in (first, again):
        same(frame, plain(many))
    assert [one.seed for one in frames.records(many)] == list(first["seed"])


def test_a_document_that_changed_is_read_again(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.load(many)
    looked = opened(monkeypatch)
    (path,) = many.glob("runs/key7/*/record.json")
    path.write_text(path.read_text().replace('"seed": 7,', '"seed": 9,'))  # of the same length
    frame = harness.load(many).set_index("key")
    assert frame.loc["key7", "seed"] == 9
    assert len(looked) == 1
    path.unlink()
    assert "key7" not in set(harness.load(many)["key"])


def test_a_damaged_cache_is_made_anew(many: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = harness.load(many)
    (path,) = (cache / "harness" / "records").iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    for damaged in (b"", whole[:50], whole[:-1], bytes(flipped), b"x" * len(whole)):
        path.write_bytes(damaged)
        same(harness.load(many), first)
        assert path.read_bytes() == whole
    path.unlink()
    path.mkdir()
    same(harness.load(many), first)
    path.rmdir()
    (cache / "harness" / "records").rmdir()
    (cache / "harness" / "records").write_text("no directory")
    same(harness.load(many), first)
    assert capfd.readouterr() == ("", "")


def test_moved_results_are_not_taken_for_others(many: Path, results: Path) -> None:
    harness.load(many)
    elsewhere = results.with_name("elsewhere")
    many.rename(elsewhere)
    assert harness.load(elsewhere)["record_path"].str.startswith(str(elsewhere)).all()
    stored(results, record(key="new"))
    assert list(harness.load(results)["key"]) == ["new"]


def test_what_is_looked_at_is_plain_data(many: Path) -> None:
    frame = harness.load(many)
    row = frame.iloc[3]
    assert json.loads(json.dumps(row["timing"])) == {"windows": [{"steps": 3, "seconds": pytest.approx(0.3)}]}
    assert isinstance(frame.loc[3, "config"], dict)
    assert isinstance(frame.loc[3, "history"], list)
    assert frame["history"].map(len).sum() == len(frame)
    assert frame.explode("history")["history"].iloc[5]["epoch"] == 1
    assert set(frame["config"].str["seed"]) == {0}
    part = frame[frame["status"] == "ok"].copy()
    assert [value["windows"][0]["steps"] for value in part["timing"]] == list(part["seed"])
    frame.loc[0, "details"]["mine"] = 1
    assert frame.loc[0, "details"]["mine"] == 1
    assert len(pandas.concat([frame, part])["timing"]) == len(frame) + len(part)
