"""The documentation: the site is built without a warning, nothing is left out, and what it says works."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from docs.generate import PARTS
from harness.config.schema import SECTIONS, Config
from harness.model.cell import cell_spec
from harness.store.record import RunRecord
from harness.store.statuses import STATUSES
from tests.conftest import ROOT, environment

PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="mkdocs is missing: the extra `docs`")
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT), NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.long
def test_every_page_is_built_and_fetches_nothing(site: Path) -> None:
    for page in PAGES:
        html = (site / f"{page.stem}.html").read_text("utf-8")
        assert "{{" not in html, page.name
        fetched = re.findall(r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)', html)
        fetched += re.findall(
            r'<link[^>]+rel="(?:stylesheet|preconnect|icon)"[^>]+href="(https?:[^"]+)', html
        )
        assert not fetched, page.name


def test_every_key_is_explained() -> None:
    text = PARTS["keys"]()
    prefixed = {**{f"{name}.": section for name, section in SECTIONS.items()}, "": Config}
    for prefix, section in prefixed.items():
        for f in fields(section):
            if "check" in f.metadata:
                (row,) = re.findall(rf"^\| `{re.escape(prefix + f.name)}` \|.*$", text, re.MULTILINE)
                assert all(cell.strip() for cell in row.strip("| ").split(" | ")), row
    assert "| `train.optimizer` | `adam` | one of sgd, momentum, adam, rmsprop | the update rule |" in text
    assert "| `threads` | `null` | a whole number from 1 to 4,096, or null |" in text


def test_every_column_and_status_is_explained() -> None:
    text = PARTS["columns"]()
    for f in fields(RunRecord):
        (row,) = re.findall(rf"^\| `{f.name}` \|.*$", text, re.MULTILINE)
        assert f.metadata["column"].description
        if f.name.endswith(("_seconds", "_bytes", "_throughput", "_per_second", "_accuracy", "_loss")):
            assert f.metadata["column"].unit, row
    assert "| `seconds_to_target` | mapping or null | s by target |" in text
    assert all(f"| `{status}` |" in PARTS["statuses"]() for status in STATUSES)


def test_every_cell_has_its_equations_and_options() -> None:
    text = PARTS["cells"]()
    for path in (ROOT / "harness" / "cells").glob("[!_]*.py"):
        spec = cell_spec(path.stem)
        assert f"```text\n{spec.equations}\n```" in text
        assert all(f"| `cell.{name}` |" in text for name in spec.options)


def links(page: Path) -> Iterator[str]:
    """Targets of Markdown links outside of code."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as they are made from their words."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.long
def test_the_tutorial_works_as_it_is_typed(tmp_path: Path) -> None:
    tutorial = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    commands = re.findall(r"```console\n(.*?)\n```", tutorial, re.DOTALL)
    assert len(commands) == 3
    for name in ("harness", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run.py", tmp_path)
    said = []
    for command in commands:
        words = command.split()
        assert words[0] == "python"
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(tmp_path), HARNESS_LEASES=str(tmp_path / "leases")),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, (command, done.stderr)
        said.append(done.stdout + done.stderr)
    first, sweep, table = said
    example = re.search(r"```text\n(numpy gru-32 .*?accuracy )", tutorial)
    assert example
    assert example[1] in first
    assert "complete already" in sweep
    assert re.search(r"\| numpy +\|.*\| +2 \|", table)
    assert re.search(r"\| torch +\|.*\| +2 \|", table)
