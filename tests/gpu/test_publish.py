"""What `make gpu` packed is published, and nothing else is. Made of a CPU's figures under a GPU's name."""

import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from results import publish
from tests.conftest import ROOT, environment
from tests.gpu import command, parity, speed, summary
from tests.support.made import HERE, stored, timed

CARD = "NVIDIA Made-Up"
REVISION = HERE["git_revision"]
README = f"# Results\n\n{publish.BEFORE}\nNothing.\n"
SIDE = {"updates": 2, "flops_per_update": 160.0, "facts": {"kernel": "cuDNN, CUDA graph"}}
Pack = Callable[..., Path]


def document() -> dict[str, Any]:
    """What the stage `speed` leaves."""
    sides = {speed.FUSED: {**SIDE, "seconds": [1.0] * 8}, speed.EAGER: {**SIDE, "seconds": [4.0] * 8}}
    record = {"name": "lstm-128, batch 16", "task": {"batch": 16}, "flops_per_sequence": 10, "sides": sides}
    return {"comparisons": [speed.with_estimates(record)], "not_reached": []}


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """A file as the command packs it; changes to the record, the manifest and other files can be given."""

    def call(
        record: dict[str, Any] | None = None, manifest: dict[str, Any] | None = None, **files: str
    ) -> Path:
        folder = tmp_path / "20260101T000000"
        shutil.rmtree(folder, ignore_errors=True)
        changes = {"device": "cuda:0", "device_name": CARD, "energy_joules": 12.5, **(record or {})}
        stored(folder, replace(timed(1000), **changes))
        (next(folder.glob("runs/*/*")) / "output.log").write_text("printed")
        here = {"cards": [{"name": CARD, "driver_version": "1.2"}], "libraries": {"torch": {"version": "2"}}}
        stages = [{"name": "here", "how": "ok", "seconds": 1.0, "limit": 20.0}]
        what = {"revision": REVISION, "quick": False, "stages": stages, **(manifest or {})}
        square = {"cell": "lstm", "implementation": "fused", "precision": "float32", "gradient": 1e-7}
        line = {**square, "gradient_limit": 1e-4, "update": 1e-6, "update_limit": 1e-4}
        texts = {
            "manifest.json": json.dumps(what),
            "here.json": json.dumps(here),
            "speed.json": json.dumps(document()),
            parity.PARTS[0].file: json.dumps(line) + "\n",
            **files,
        }
        for name, text in texts.items():
            (folder / name).write_text(text)
        return command.pack(folder, tmp_path)

    return call


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in place of the checkout, with a page and earlier results of a GPU."""
    place = tmp_path / "checkout"
    (place / publish.GPU / "runs").mkdir(parents=True)
    (place / publish.GPU / "old.json").touch()
    (place / "results" / "README.md").write_text(README)
    monkeypatch.setattr(publish, "ROOT", place)

    def run(command: str) -> str:  # in the real checkout
        with monkeypatch.context() as real:
            real.setattr(publish, "ROOT", ROOT)
            real.setenv("PYTHONPATH", str(ROOT))
            return real_run(command)

    real_run = publish.run
    monkeypatch.setattr(publish, "run", run)
    return place


def published(checkout: Path) -> set[str]:
    folder = checkout / publish.GPU
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_records_windows_and_parity_are_published_and_the_page_has_a_section(
    pack: Pack, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish.take_in(pack())
    names = {"record.json", "manifest.json", "here.json", "speed.json", parity.PARTS[0].file}
    assert published(checkout) == names, "neither logs nor what was there before"
    assert "energy_joules" in summary.page(checkout / publish.GPU)
    text = (checkout / "results" / "README.md").read_text()
    assert text.index("## GPUs") < text.index(publish.BEFORE)
    for said in publish.GPU_COMMANDS:
        assert f'[[[cog show("{said}") ]]]' in text
    monkeypatch.setattr(publish, "run", lambda command: "")
    publish.take_in(pack())
    assert (checkout / "results" / "README.md").read_text() == text, "one section"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"record": {"device": "cpu"}}, "device=cpu, must be a GPU"),
        ({"record": {"device_name": None}}, "records of one GPU are published together"),
        ({"record": {"status": "failed"}}, "these are of none"),
        ({"record": {"environment": {**HERE, "git_revision": "b" * 40}}}, "made by revision b"),
        ({"record": {"environment": {**HERE, "git_revision": None}}}, "made by revision None"),
        ({"manifest": {"revision": "a" * 40 + "+"}}, "must be a commit, without changes"),
        ({"manifest": {"revision": None}}, "revision None: must be a commit"),
        ({"manifest": {"quick": True}}, "their figures mean nothing"),
        ({"manifest.json": "[]"}, "not what `make gpu` packs"),
        ({"manifest.json": "{"}, "not what `make gpu` packs"),
        ({"speed.json": '{"comparisons": 3}'}, "python -m tests.gpu.summary .*: exit status 1"),
    ],
)
def test_what_is_not_of_a_gpu_or_not_whole_is_refused(
    pack: Pack, checkout: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        publish.take_in(pack(**changes))
    assert published(checkout) == {"old.json"}
    assert (checkout / "results" / "README.md").read_text() == README


def test_a_damaged_record_is_refused(pack: Pack, checkout: Path, tmp_path: Path) -> None:
    pack()
    folder = tmp_path / "20260101T000000"
    next(folder.glob("runs/*/*/record.json")).write_text("{}")
    with pytest.raises(SystemExit, match="schema None is unknown"):
        publish.take_in(command.pack(folder, tmp_path))
    assert published(checkout) == {"old.json"}


def test_text_that_cog_would_run_is_refused(pack: Pack, checkout: Path) -> None:
    with pytest.raises(SystemExit, match="holds a mark of cog's"):
        publish.take_in(pack(record={"kernel": "x --> <!-- [[[cog import os ]]] -->"}))
    assert published(checkout) == {"old.json"}


def member(name: str, content: bytes = b"", **facts: Any) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in facts.items():
        setattr(info, key, value)
    return info, io.BytesIO(content)


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        (member("../escaped", b"x"), "cannot be unpacked: .*outside the destination"),
        (member("runs/../../escaped", b"x"), "cannot be unpacked: .*outside the destination"),
        (member("link", type=tarfile.SYMTYPE, linkname="/etc"), "link is neither a file nor a folder"),
        (member("link", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "link is neither a file"),
        (member("pipe", type=tarfile.FIFOTYPE), "pipe is neither a file nor a folder"),
    ],
)
def test_a_hostile_archive_is_refused(
    tmp_path: Path, checkout: Path, hostile: tuple[tarfile.TarInfo, io.BytesIO], message: str
) -> None:
    path = tmp_path / "hostile.tgz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(*hostile)
    with pytest.raises(SystemExit, match=message):
        publish.take_in(path)
    assert not list(tmp_path.rglob("escaped"))
    assert published(checkout) == {"old.json"}


def test_an_absolute_path_stays_below(tmp_path: Path) -> None:
    path, folder = tmp_path / "absolute.tgz", tmp_path / "folder"
    target = tmp_path / "target"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(*member(str(target), b"x"))
    folder.mkdir()
    publish.unpack(path, folder)
    assert not target.exists()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for index in range(4):
            archive.addfile(*member(f"{index}", b"x" * 100))
    for limits in ((3, 10_000), (100, 399)):
        monkeypatch.setattr(publish, "GPU_LIMITS", limits)
        with pytest.raises(SystemExit, match="more than"):
            publish.unpack(path, tmp_path / f"folder{limits[0]}")


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.tgz"
    path.write_bytes(content)
    with pytest.raises(SystemExit, match="cannot be unpacked"):
        publish.unpack(path, tmp_path)


def typed(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "results/publish.py", *arguments],
        cwd=cwd,
        env=environment(PYTHONPATH=str(cwd)),
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize("arguments", [("gpu",), ("pages", "file.tgz")])
def test_the_file_belongs_to_gpu(arguments: tuple[str, ...]) -> None:
    done = typed(*arguments)
    assert done.returncode == 2
    assert "gpu takes the file that `make gpu` packed" in done.stderr


@pytest.mark.long
def test_the_page_is_filled(pack: Pack, tmp_path: Path) -> None:
    """In a copy of the checkout, by the command."""
    place = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".git", ".venv", ".gpu", "__pycache__", "site")
    shutil.copytree(ROOT, place, ignore=ignored)
    done = typed("gpu", str(pack()), cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    section = (place / "results" / "README.md").read_text("utf-8").partition("## GPUs")[2]
    assert f"{CARD} (driver 1.2), torch 2" in section
    assert "| a bare loop, float32 |" in section
    assert "4.000 [4.000, 4.000]" in section
    assert "| torch | fused | float32 | 1 of 1 |" in section
    assert "1,00" in section or "999" in section, "the record's throughput"
    assert " 12.5 |" in section, "its energy"
    assert (place / publish.GPU / "speed.json").exists()
    assert typed("check", cwd=place).returncode == 0
