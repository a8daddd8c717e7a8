"""What a record says about the place it was made in."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.measure import machine, quota


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A checkout of one module."""
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    folder = tmp_path / "house"
    (folder / "harness" / "measure").mkdir(parents=True)
    for module in (machine, quota):
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


def revision(folder: Path) -> str:
    code = "from harness.measure.machine import git_revision; print(git_revision())"
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
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
