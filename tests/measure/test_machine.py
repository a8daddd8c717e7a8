"""What a record says about the place it was made in."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.measure import copied_revision, machine, quota


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A checkout of one module and what it imports."""
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    folder = tmp_path / "house"
    (folder / "harness" / "measure").mkdir(parents=True)
    for module in (machine, copied_revision, quota):
        shutil.copy(Path(module.__file__), folder / "harness" / "measure")
    for room in ("harness", "harness/measure"):
        (folder / room / "__init__.py").touch()
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--message=x")
    return folder


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def revision(folder: Path, **more: str) -> str:
    code = "from harness.measure.machine import git_revision; print(git_revision())"
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **more}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_revision_of_a_checkout(house: Path) -> None:
    head = git(house, "rev-parse", "HEAD")
    assert revision(house) == head
    (house / "notes").write_text("not the project's")
    assert revision(house) == head
    (house / "harness" / "__init__.py").write_text("# changed")
    assert revision(house) == f"{head}+"
    git(house, "add", ".")
    assert revision(house) == f"{head}+"


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"])
def test_a_repository_that_the_environment_names_is_another(house: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    git(other, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--allow-empty", "-m=x")
    index = tmp_path / "index"
    value = {"GIT_WORK_TREE": other, "GIT_INDEX_FILE": index}.get(name, other / ".git")
    assert revision(house, **{name: str(value)}) == git(house, "rev-parse", "HEAD")


def test_asking_for_the_revision_writes_nothing(house: Path) -> None:
    """Though the index is older than the files, and where it could not be written."""
    head = git(house, "rev-parse", "HEAD")
    os.utime(house / "harness" / "__init__.py", (1, 1))
    index = (house / ".git" / "index").read_bytes()
    assert revision(house) == head
    assert (house / ".git" / "index").read_bytes() == index
    (house / ".git" / "index.lock").touch()
    assert revision(house) == head
    (house / ".git" / "index.lock").unlink()
    mode = stat.S_IMODE((house / ".git").stat().st_mode)
    (house / ".git").chmod(0o555)
    try:
        assert revision(house) == head
    finally:
        (house / ".git").chmod(mode)


def test_a_checkout_without_a_commit_and_no_checkout(house: Path, tmp_path: Path) -> None:
    shutil.rmtree(house / ".git")
    assert revision(house) == "None"
    git(house, "init", "--quiet")
    assert revision(house) == "None"


GRAVITON = "processor : 0\nCPU implementer : 0x41\nCPU variant : 0x3\nCPU part : 0xd0c\nCPU revision : 1\n"
PROCESSORS = [  # from /proc/cpuinfo of machines without a name in it
    GRAVITON,
    GRAVITON.replace("0xd0c", "0xd40"),
    GRAVITON.replace("0x41", "0xc0"),
    GRAVITON.replace("0x3", "0x1"),
    GRAVITON + GRAVITON.replace("0xd0c", "0xd0b"),
    GRAVITON + "Hardware : BCM2711\nModel : Raspberry Pi 4 Model B Rev 1.2\n",
    GRAVITON + "Hardware : BCM2712\nModel : Raspberry Pi 5 Model B Rev 1.0\n",
    "processor : 0\ncpu : POWER9, altivec supported\nrevision : 2.2\n",
    "processor : 0\nisa : rv64imafdc\nuarch : sifive,u74-mc\n",
    "processor : 0\nmvendorid : 0x5b7\nmarchid : 0x0\n",
    "",
]


def named(monkeypatch: pytest.MonkeyPatch, folder: Path, cpuinfo: str, **system: str) -> str:
    """The processor's name on a machine with these files."""
    (folder / "cpuinfo").write_text(cpuinfo)
    for name, text in system.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(machine, "CPUINFO", folder / "cpuinfo")
    monkeypatch.setattr(machine, "SYSTEM_FILES", [str(folder / name) for name in ("none", *system)])
    return machine.cpu_name.__wrapped__()


def test_two_processors_have_two_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = [named(monkeypatch, tmp_path, each) for each in PROCESSORS]
    assert len(set(names)) == len(PROCESSORS)
    assert "cpu implementer 0x41, cpu part 0xd0c/0xd0b, cpu variant 0x3, cpu revision 1" in names[4]
    assert "Raspberry Pi 4" in names[5]
    soc = named(monkeypatch, tmp_path, GRAVITON, soc_id="jep106:0a16:0001\n", model="Altra\0")
    assert soc == f"{names[0]}, jep106:0a16:0001, Altra"


def test_a_processor_with_a_name_has_that_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in ("model name\t", "Model Name\t\t"):
        text = f"processor\t: 0\n{field}: AMD EPYC 9R14: 96\ncpu family\t: 25\n{field}: another\n"
        assert named(monkeypatch, tmp_path, text, model="board") == "AMD EPYC 9R14: 96"


def test_a_mac_asks_its_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "sysctl"
    program.write_text('#!/bin/sh\n[ "$*" = "-n machdep.cpu.brand_string" ] && echo Apple M1 Pro\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    assert named(monkeypatch, tmp_path, "") == "Apple M1 Pro"
