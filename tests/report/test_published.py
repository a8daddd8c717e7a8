"""What is published: pages and pictures say what their commands say, and the records are what the experiments
ask for."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.config.flat import flat
from harness.store import frames
from harness.sweep.plan import make_plan
from results import publish
from tests.conftest import ROOT, environment
from tests.support.made import stored, timed

pytestmark = pytest.mark.long

AGAIN = "results/again"  # the same, measured a second time
NUMBER = re.compile(r"-?\d+\.\d+")
# what these experiments were when their published records were made: one process each, of two seconds
EARLIER = {
    "implementations": ("seed=0", "measure.seconds=2", "measure.window_seconds=0.5"),
    "scaling": ("seed=0", "measure.seconds=2"),
}
ELSEWHERE = ("results.", "sweep.", "run.", "logger.")  # keys that no figure hangs on


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


@pytest.mark.parametrize(
    "page", sorted({*publish.PAGES, *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))})
)
def test_what_published_records_make_stands_between_marks(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    shown = re.findall(r'^<!-- \[\[\[cog show\("(.*)"\) \]\]\] -->\n\n```\n(.*)\n```\n', text, re.MULTILINE)
    assert all(command == printed for command, printed in shown)
    assert bool(shown) == (page in publish.PAGES)
    tables = re.findall(
        r"^python -m (?:harness (?:table|compare|scaling)|tests\.gpu\.summary) .*"
        r"results/(?:published|again).*$",
        text,
        re.MULTILINE,
    )
    assert len([command for command in tables if "--plot" not in command]) == len(shown)


@pytest.mark.parametrize("root", [publish.PUBLISHED, AGAIN])
@pytest.mark.parametrize("experiment", publish.EXPERIMENTS)
def test_published_is_the_whole_experiment(root: str, experiment: str) -> None:
    overrides = [f"+experiment={experiment}", *EARLIER.get(experiment, ())]
    plan = make_plan(overrides)
    assert plan is not None
    if experiment in EARLIER:
        assert f"python run.py -m {' '.join(overrides)}\n" in (ROOT / "results/README.md").read_text("utf-8")
    frame = frames.load(ROOT / root / experiment)
    assert set(frame["status"]) == {"ok"}
    assert not frame["contended"].eq(True).any()
    (revision,) = {environment["git_revision"] for environment in frame["environment"]}
    assert not revision.endswith("+"), "made with changes that nobody else has"
    known = {key for config in frame["config"] for key in flat(config)}

    def asked(config: Mapping[str, Any]) -> str:
        return str(
            sorted((k, v) for k, v in flat(config).items() if k in known and not k.startswith(ELSEWHERE))
        )

    assert sorted(map(asked, frame["config"])) == sorted(
        asked(task.config.to_mapping()) for task in plan.tasks or ()
    )


@pytest.mark.parametrize("experiment", publish.EXPERIMENTS)
def test_made_again_every_run_is_as_accurate_to_the_last_digit(experiment: str) -> None:
    def found(root: str) -> dict[str, float | None]:
        frame = frames.load(ROOT / root / experiment)
        apart = [
            sorted((k, v) for k, v in flat(c).items() if not k.startswith(ELSEWHERE)) for c in frame["config"]
        ]
        accuracies = frame["test_accuracy"].astype(object).where(frame["test_accuracy"].notna(), None)
        return dict(zip(map(str, apart), accuracies, strict=True))

    once, again = found(publish.PUBLISHED), found(AGAIN)
    assert len(once) == len(frames.load(ROOT / AGAIN / experiment))
    assert once == again


def test_pictures_are_what_their_commands_draw(tmp_path: Path) -> None:
    for command in publish.PICTURES:
        publish.run(re.sub(r"results/(report\.html|plots)", rf"{tmp_path}/\1", command))
    drawn = {path.name for path in (tmp_path / "plots").glob("*.svg")}
    assert drawn == {path.name for path in (ROOT / "results/plots").glob("*.svg")} > {"scaling.svg"}
    for name in drawn:
        one, other = (where / name for where in (tmp_path / "plots", ROOT / "results/plots"))
        texts = [path.read_text("utf-8") for path in (one, other)]
        assert NUMBER.sub("", texts[0]) == NUMBER.sub("", texts[1]), name
        numbers = [np.array(NUMBER.findall(text), float) for text in texts]
        # points of 1/72 inch: a processor may round a coordinate otherwise, and nobody can see a hundredth
        np.testing.assert_allclose(*numbers, rtol=0, atol=0.01, err_msg=name)


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A checkout where every experiment has one run, whose cores others use the first time; the commands."""
    said: list[str] = []

    def run(command: str) -> str:
        said.append(command)
        if " tournament " in command:
            (tmp_path / publish.MEASURED / publish.DRAWN).write_text("<svg/>")
            stored(tmp_path / publish.MEASURED / "answer", timed(1000))
            return f"a is the fastest\nDrawn: {publish.MEASURED}/{publish.DRAWN}\n"
        root = tmp_path / command.split("results.root=")[1]
        if not list(root.glob("runs/*/*/record.json")):
            attempt = root / "runs" / "other"
            attempt.mkdir(parents=True, exist_ok=True)
            (attempt / ".lock").touch()
            stored(root, replace(timed(1000), contended=len(said) == 1))
        return ""

    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(publish, "run", run)
    monkeypatch.setattr(publish, "make_plan", lambda _: type("Plan", (), {"total": 1}))
    monkeypatch.setattr(publish.machine, "git_revision", lambda: "a" * 40)
    for old in ("gone/runs/a/1/record.json", "answer/runs/a/1/record.json", "gpu/speed.json"):
        path = tmp_path / publish.PUBLISHED / old
        path.parent.mkdir(parents=True)
        path.touch()
    return said


def test_records_alone_are_published_and_none_that_others_disturbed(
    measured: list[str], tmp_path: Path
) -> None:
    publish.publish()
    assert len(measured) == len(publish.EXPERIMENTS) + 2, "the first one's run was made again"
    assert measured[-1].startswith(f"{publish.ANSWER} ")
    published = tmp_path / publish.PUBLISHED
    files = sorted(path.name for path in published.rglob("*") if path.is_file())
    records = ["record.json"] * (len(publish.EXPERIMENTS) + 1)
    assert files == sorted([*records, "ranking.md", "ranking.svg", "speed.json"]), "what a GPU measured stays"
    assert (published / publish.RANKING).read_text() == "a is the fastest\n"
    loaded = [frames.load(tmp_path / publish.PUBLISHED / name) for name in publish.EXPERIMENTS]
    assert not any(frame["contended"].any() for frame in loaded)
    assert not (tmp_path / publish.MEASURED).exists(), "the next time everything is measured anew"


@pytest.mark.parametrize("what", ["changed files", "a run too many", "always disturbed"])
def test_nothing_is_published_that_should_not_be(
    what: str, measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "changed files":
        monkeypatch.setattr(publish.machine, "git_revision", lambda: "a" * 40 + "+")
        why = "commit first"
    elif what == "a run too many":
        monkeypatch.setattr(publish, "make_plan", lambda _: type("Plan", (), {"total": 2}))
        why = "not all of"
    else:
        monkeypatch.setattr(publish, "ATTEMPTS", 1)
        why = "others use these cores"
    with pytest.raises(SystemExit, match=why):
        publish.publish()
    records = (tmp_path / publish.PUBLISHED).rglob("record.json")
    assert sorted(path.parts[-5] for path in records) == ["answer", "gone"]


def test_a_tournament_that_others_disturbed_is_not_published(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "EXPERIMENTS", ())
    run = publish.run

    def disturbed(command: str) -> str:
        stored(tmp_path / publish.MEASURED / "answer", replace(timed(900, seed=1), contended=True))
        return run(command)

    monkeypatch.setattr(publish, "run", disturbed)
    with pytest.raises(SystemExit, match="others use these cores"):
        publish.publish()
    assert not (tmp_path / publish.MEASURED / publish.RANKING).exists(), "the next time it is made again"


def test_a_command_that_fails_ends_it() -> None:
    with pytest.raises(SystemExit, match=r"harness nonsense: exit status 2"):
        publish.run("python -m harness nonsense")
