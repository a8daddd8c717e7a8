"""What is published: pages say what their commands say, and the records are what the experiments ask for."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness import store
from harness.app import check
from results import publish
from tests.conftest import ROOT, environment


def test_every_page_says_what_its_commands_say() -> None:
    done = subprocess.run(
        [sys.executable, "results/publish.py", "check"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("experiment", publish.EXPERIMENTS)
def test_published_is_the_whole_experiment(experiment: str) -> None:
    plan = check([f"+experiment={experiment}"])
    assert plan is not None
    frame = store.load(ROOT / publish.PUBLISHED / experiment)
    assert len(frame) == plan.total
    assert set(frame["status"]) == {"ok"}
    assert not frame["contended"].eq(True).any()
    (revision,) = {environment["git_revision"] for environment in frame["environment"]}
    assert not revision.endswith("+"), "made with changes that nobody else has"


def test_records_alone_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made runs are not made again by us; what was published before goes."""
    old = tmp_path / publish.PUBLISHED / "gone/runs/a/1/record.json"
    old.parent.mkdir(parents=True)
    old.touch()
    said = []

    def run(command: str, *, may_end: int = 0) -> str:
        said.append(command)
        attempt = tmp_path / publish.MEASURED / command.split("=")[1].split()[0] / "runs/a/1"
        attempt.mkdir(parents=True)
        for name in ("record.json", "output.log", "../.lock"):
            (attempt / name).write_text(command)
        return ""

    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(publish, "run", run)
    publish.measure()
    published = sorted(path for path in (tmp_path / publish.PUBLISHED).rglob("*") if path.is_file())
    assert published == sorted(
        tmp_path / publish.PUBLISHED / name / "runs/a/1/record.json" for name in publish.EXPERIMENTS
    )
    assert [path.read_text() for path in published] == sorted(said)


def test_a_command_that_fails_ends_it() -> None:
    with pytest.raises(SystemExit, match=r"harness nonsense: exit status 2"):
        publish.run("python -m harness nonsense")
