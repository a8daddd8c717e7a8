"""A copy of the checkout that came without `.git` knows its revision from a list of files."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.measure import copied_revision, machine


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A copy with its list, and the commit that it was made of."""
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    origin = tmp_path / "origin"
    (origin / "a").mkdir(parents=True)
    (origin / "a" / "größe.py").write_text("x = 1\n", encoding="utf-8")
    (origin / "empty").touch()

    def git(*arguments: str) -> str:
        own = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(
            ["git", *own, *arguments], cwd=origin, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    place = tmp_path / "copy"
    shutil.copytree(origin, place, ignore=shutil.ignore_patterns(".git"))
    copied_revision.write(place / copied_revision.LIST, commit, git("ls-tree", "-r", "-z", commit))
    monkeypatch.setattr(machine, "PROJECT", place)
    return place, commit


def revision() -> str | None:
    return machine.git_revision.__wrapped__()  # not the one of this process


def test_a_copy_is_the_commit_until_a_file_differs(copy: tuple[Path, str]) -> None:
    place, commit = copy
    assert revision() == commit
    (place / "new.txt").touch()
    assert revision() == commit, "as git, which looks at the commit's files alone"
    file = place / "a" / "größe.py"
    file.write_text("x = 2\n", encoding="utf-8")
    assert revision() == f"{commit}+"
    file.write_text("x = 1\n", encoding="utf-8")
    assert revision() == commit
    (place / "empty").unlink()
    assert revision() == f"{commit}+"


def test_without_a_list_there_is_none(copy: tuple[Path, str]) -> None:
    place, _ = copy
    (place / copied_revision.LIST).unlink()
    assert revision() is None
