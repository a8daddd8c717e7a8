"""What can go wrong with stored results: damaged documents, a full disk, a root that is lost midway."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import strategies as st

import harness
from harness.errors import StoreError
from harness.measure.clock import now
from harness.report.frame import BY, METRICS, with_config
from harness.report.table.output import render
from harness.store import attempts
from harness.store.record import RunRecord
from tests.conftest import SMALL, Shell
from tests.support import here
from tests.support.children import sabotage
from tests.support.fuzz import fuzz
from tests.support.records import record
from tests.support.stores import files, stored

Shadow = Callable[[str, str], dict[str, str]]


# damaged documents


def planted(root: Path, content: bytes, key: str = "damaged") -> Path:
    path = root / "runs" / key / "20260101T000000.000000" / "record.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


GOOD = record(key="good", seconds_to_target={"0.9": 1.5, "0.98": None}, history=[{"epoch": 1}])
DOCUMENT = json.loads(GOOD.to_json())
WHOLE = GOOD.to_json().encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in DOCUMENT.items() if key != name}).encode()


def given_as(**fields: Any) -> bytes:
    return json.dumps(DOCUMENT | fields).encode()


DAMAGED = {
    "empty": (b"", "not a readable record"),
    "cut": (WHOLE[:-20], "not a readable record"),
    "binary": (bytes(range(256)), "not a readable record"),
    "zeros": (bytes(4096), "not a readable record"),
    "no UTF-8": (WHOLE.replace(b"python run.py", b"\xff\xfe"), "not a readable record"),
    "NaN": (WHOLE.replace(b'"test_loss": null', b'"test_loss": NaN'), "not a readable record"),
    "deep": (b"[" * 100_000, "not a readable record"),
    "a list": (b"[1, 2]", "it holds no JSON object"),
    "no schema": (without("schema"), "schema None is unknown"),
    "another schema": (given_as(schema=2), "schema 2 is unknown to this version, which reads schema 1"),
    "a true schema": (given_as(schema=True), "schema True is unknown"),
    "no key": (without("key"), "missing 1 required positional argument: 'key'"),
    "a key of its own type": (given_as(key=["k"]), "key is of the wrong type"),
    "text as a number": (given_as(hidden="128"), "hidden is of the wrong type"),
    "a flag as a number": (given_as(seed=True), "seed is of the wrong type"),
    "no configuration": (given_as(config=[]), "config is of the wrong type"),
    "a history of numbers": (given_as(history=[1]), "history is of the wrong type"),
    "words in a history": (given_as(history=[{"epoch": "first"}]), "history is of the wrong type"),
    "words in a matrix": (given_as(details={"confusion": [["many"]]}), "details.confusion is of the wrong"),
    "half a matrix": (given_as(details={"confusion": [[1, 2]]}), "details.confusion is of the wrong type"),
    "a word among rows": (given_as(details={"accuracy_after_step": ["half"]}), "details.accuracy_after_step"),
    "a flow of nothing": (given_as(details={"gradient_flow_after": {"h": 1}}), "details.gradient_flow_after"),
    "targets in words": (given_as(seconds_to_target={"0.9": "soon"}), "seconds_to_target is of the wrong"),
    "versions as a number": (given_as(environment={"versions": 1}), "environment.versions is of the wrong"),
}


@pytest.mark.parametrize(("content", "why"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_document_is_named_and_passed_over(
    results: Path, capsys: pytest.CaptureFixture[str], content: bytes, why: str
) -> None:
    stored(results, GOOD)
    path = planted(results, content)
    assert list(harness.load(results)["key"]) == ["good"]
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith(f"passed over: {path}: ")
    assert why in first
    assert last == "passed over 1 of 2 records"
    assert attempts.find_complete(results, "damaged", with_weights=False) is None
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("place", ["directory", "fifo", "dangling link", "link to itself", "unreadable"])
def test_something_else_in_its_place(results: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    stored(results, GOOD)
    path = planted(results, WHOLE)
    path.unlink()
    if place == "directory":
        path.mkdir()
    elif place == "fifo":
        os.mkfifo(path)
    elif place == "dangling link":
        path.symlink_to(results / "nowhere")
    elif place == "link to itself":
        path.symlink_to(path)
    elif os.getuid() == 0:
        pytest.skip("root reads everything")
    else:
        planted(results, WHOLE).chmod(0)
    assert list(harness.load(results)["key"]) == ["good"]
    said = capsys.readouterr().err
    if place == "dangling link":
        assert said == ""  # nothing is there
    else:
        assert f"passed over: {path}: not a readable record" in said


def test_what_is_damaged_stands_in_nobodys_way(run: Shell, harness_command: Shell, results: Path) -> None:
    """Neither a table nor the run itself, made again."""
    assert run("backend=numpy").returncode == 0
    (path,) = results.glob("runs/*/*/record.json")
    path.write_bytes(path.read_bytes()[:100])
    again = run("backend=numpy")
    assert again.returncode == 0, again.stderr
    assert str(path) in again.stderr
    done = harness_command("table", "--results", str(results))
    assert re.search(r"\| numpy +\| lstm +\|.*\|   1 \|", done.stdout)
    assert f"passed over: {path}: " in done.stderr
    assert "Traceback" not in again.stderr + done.stderr


def test_thousands_of_them_are_counted(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(results, GOOD)
    for n in range(1000):
        planted(results, b"{", f"key{n}")
    assert len(harness.load(results)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[-1] == "passed over 1,000 of 1,001 records, 995 of them not named here"


def test_one_by_url(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(url, GOOD)
    planted(tmp_path / "bucket", WHOLE[:50])
    planted(tmp_path / "bucket", given_as(schema=7), "foreign")
    assert list(harness.load(url)["key"]) == ["good"]
    said = capsys.readouterr().err
    assert f"passed over: {url}/runs/damaged/20260101T000000.000000/record.json: not a readable" in said
    assert "schema 7 is unknown" in said
    assert said.endswith("passed over 2 of 3 records\n")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid document with bytes of it changed, cut, doubled; or with other values in some fields."""
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(sorted(DOCUMENT)), max_size=3))
        return json.dumps(DOCUMENT | {name: draw(VALUES) for name in names}).encode()
    content = bytearray(WHOLE)
    for _ in range(draw(st.integers(1, 4))):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        how = draw(st.sampled_from(["cut", "insert", "flip", "double"]))
        if how == "cut":
            del content[first:last]
        elif how == "insert":
            content[first:first] = draw(st.binary(max_size=8))
        elif how == "double":
            content[first:first] = content[first:last]
        elif first < len(content):
            content[first] ^= 1 << draw(st.integers(0, 7))
    return bytes(content)


@fuzz(
    30,
    300,
    content=st.binary(max_size=200) | mutated(),
    examples=[
        {"content": content}
        for content in (
            b'"\\ud800"',
            given_as(reason="\ud800"),
            given_as(seed=10**400),
            given_as(train_loss=10**30),
        )
    ],
)
def test_any_bytes_are_read_correctly_or_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    root = tmp_path / "results"
    stored(root, GOOD) if not root.exists() else None
    path = planted(root, content)
    frame = harness.load(root)
    said = capsys.readouterr().err
    if str(path) in said:
        assert list(frame["key"]) == ["good"]
    else:
        values = json.loads(content)
        others = [row for _, row in frame.iterrows() if row["record_path"] == str(path)]
        if values["key"] != "good":  # of the two attempts at one run, either is its row
            assert len(others) == 1
        for row in others:
            for name in ("key", "status", "reason", "config", "history", "timing"):
                assert row[name] == values.get(name, row[name])
    render(with_config(frame), BY, list(METRICS), "md")


# a root that is lost, a disk that is full

LOST = """
import os, sys
from pathlib import Path
import harness.runner.training
train = harness.runner.training.train
def lose(context, *rest, **more):
    train(context, *rest, **more)
    root, what = Path(os.environ["LOSE_ROOT"]), os.environ["LOSE"]
    if context.config.seed == 0 and not (root / "back").exists():
        (found,) = [path for path in root.glob("runs/*/*") if (path / "output.log").exists()]
        lost = {"runs": root / "runs", "run": found.parent}[what]
        lost.rename(root / "back")
        lost.write_text("in the way")
harness.runner.training.train = lose
"""


@pytest.mark.long
@pytest.mark.parametrize("what", ["runs", "run"])
def test_a_root_that_is_lost_midway(
    run: Shell, results: Path, shadow: Shadow, cache: Path, what: str
) -> None:
    """All of it, so that nothing else can be stored, or the directory of one run alone."""
    env = sabotage(shadow, LOST) | {"LOSE_ROOT": str(results), "LOSE": what}
    done = run("-m", "backend=numpy", "seed=0,1", env=env)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert f"results.root={results}: the record could not be stored (NotADirectoryError" in done.stdout
    (kept,) = (cache / "harness" / "staging").glob("*/runs/*/*/record.json")
    assert RunRecord.read(kept).ok
    assert str(kept.parent) in done.stdout
    others = [RunRecord.read(path).status for path in results.glob("runs/*/*/record.json")]
    assert others == ([] if what == "runs" else ["ok"])
    assert ("cannot be written to" in done.stdout) == (what == "runs")

    lost = results / "runs" if what == "runs" else results / "runs" / kept.parent.parent.name
    lost.unlink()
    again = run("-m", "backend=numpy", "seed=0,1")
    assert again.returncode == 0, again.stderr
    assert "seed 0: complete already" in again.stderr  # it was stored, not made again
    found = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    assert sorted((one.seed, one.status) for one in found) == [(0, "ok"), (1, "ok")]
    assert files(cache / "harness" / "staging") == set()


def test_a_full_bucket(url: str, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The record waits on this machine; the same command, given when there is room, uploads it."""
    run = [f"results.root={url}", "backend=numpy", *SMALL]
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "FULL").touch()
    failed = harness.run(run)
    assert failed.status == "failed"
    assert "No space left on device" in str(failed.reason)
    (kept,) = (cache / "harness" / "staging").glob("*/runs/*/*/record.json")
    assert str(kept.parent) in str(failed.reason)
    assert not list((tmp_path / "bucket").glob("runs/*/*/record.json"))
    still = harness.run(run)
    assert "cannot be stored" in str(still.reason)
    assert kept.exists()
    (tmp_path / "bucket" / "FULL").unlink()
    done = harness.run(run)
    assert done.ok
    assert done.started == failed.started
    assert files(cache / "harness" / "staging") == set()
    assert len(harness.load(url)) == 1


def test_what_a_killed_process_left_is_removed(url: str, cache: Path) -> None:
    left = attempts.new_attempt(url, "one", now())
    (left / "output.log").write_text("half of it")
    attempts.recover(url, "one")
    assert not left.exists()


def test_what_a_killed_process_left_in_a_directory_is_removed_but_for_what_it_printed(results: Path) -> None:
    kept = stored(results, replace(GOOD, key="one"))
    said, silent = (attempts.new_attempt(results, "one", now()) for _ in range(2))
    for attempt, text in ((said, "half of it"), (silent, "")):
        (attempt / "output.log").write_text(text)
        (attempt / "weights.part").write_bytes(b"half")
        (attempt / ".record.json.x7").write_text("{")
    half = results / "runs" / "one" / ".attempt.x8"
    half.mkdir()
    (half / "record.json").write_text("{")
    attempts.lock_file(results, "one")
    attempts.recover(results, "one")
    assert {path.name for path in (results / "runs" / "one").iterdir()} == {
        ".lock",
        said.name,
        Path(str(kept.record_path)).parent.name,
    }
    assert [path.name for path in said.iterdir()] == ["output.log"]
    assert Path(str(kept.record_path)).exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if not sys.platform.startswith("linux") or not shutil.which("mount"):
        pytest.skip("needs Linux' tmpfs")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(run: Shell, small: Path, cache: Path) -> None:
    root = small / "results"
    (root / "runs").mkdir(parents=True)
    with (small / "ballast").open("wb") as ballast:
        room = os.statvfs(small)
        os.posix_fallocate(ballast.fileno(), 0, (room.f_bfree - 3) * room.f_frsize)
    done = run(f"results.root={root}", "backend=numpy", "save_weights=true")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stdout
    (kept,) = (cache / "harness" / "staging").glob("*/runs/*/*/record.json")
    assert RunRecord.read(kept).ok
    assert files(root) == set()
    (small / "ballast").unlink()
    again = run(f"results.root={root}", "backend=numpy", "save_weights=true")
    assert again.returncode == 0, again.stderr
    assert "complete already" in again.stderr
    assert {Path(name).name for name in files(root)} == {"record.json", "output.log", "weights.safetensors"}


def test_where_nothing_at_all_can_be_written(run: Shell, results: Path, cache: Path) -> None:
    """No file may be larger than 2,000 bytes: neither the record nor its copy in the cache, nor a module's
    bytecode, which Python would leave behind cut off."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = run("backend=numpy", preexec_fn=limit, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stdout
    assert f"nor be kept in {cache}" in done.stdout
    assert "Traceback" not in done.stderr
    assert not {name for name in files(results) if "record" in name}


def test_weights_that_are_lost_are_not_claimed(results: Path, tmp_path: Path) -> None:
    directory = attempts.new_attempt(results, GOOD.key, now())
    results.rename(tmp_path / "gone")
    results.write_text("in the way")
    with pytest.raises(attempts.NotStored, match="it is kept in"):
        attempts.store(replace(GOOD, weights_path="weights.safetensors"), results, directory)
    results.unlink()
    attempts.recover(results, GOOD.key)
    assert attempts.find_complete(results, GOOD.key, with_weights=True) is None
    assert attempts.find_complete(results, GOOD.key, with_weights=False) is not None


def test_text_that_is_no_unicode_does_not_stop_a_record(results: Path) -> None:
    kept = stored(results, replace(GOOD, command="python run.py data.root=\udcff"))
    assert RunRecord.read(Path(str(kept.record_path))).command == "python run.py data.root=?"


def test_a_store_that_fails_says_so_and_nothing_else(url: str, tmp_path: Path) -> None:
    class Refusing(here.Here):
        protocol = "refusing"

        def find(self, path: str, **kwargs: Any) -> Any:
            raise ConnectionError("no route to the bucket")

    fsspec.register_implementation("refusing", Refusing, clobber=True)
    with pytest.raises(StoreError, match=r"cannot be read .*no route to the bucket"):
        harness.load(url.replace("here", "refusing"))
