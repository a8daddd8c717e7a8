"""The command `report`: invalid arguments, missing packages, incomplete records."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT, Shell
from tests.support.pages import store, trained, written
from tests.support.refusals import refused


@pytest.mark.long
def test_a_page_of_runs_that_measured_speed_alone(tmp_path: Path) -> None:
    """No run trained, and none has all its parts."""
    timed = [
        trained(backend, "lstm", 0, "mode=throughput", test_accuracy=None, history=[], details={})
        for backend in ("numpy", "torch")
    ]
    written(tmp_path, *timed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x.html", "--results", "nowhere"), "nowhere: no such results directory"),
        (("x.html", "--results", "conf"), "no runs in conf; make one with: python run.py data=digits"),
        (("x.html", "--where", "cell=fir"), "where cell=fir; there are 2 others"),
        (("x.html", "--where", "cel=fir"), "'cel=fir' is no column; did you mean cell?"),
        (("x.html", "--where", "cell"), "--where cell: lacks a value: cell=VALUE"),
        ((f"{'x' * 300}.html",), "cannot be written (File name too long)"),
        (("nowhere/x.html",), "nowhere/x.html: nowhere is not a directory; create it first"),
        (("docs",), "docs: is a directory; name a file in it"),
        (("x.html", "--plots", "nowhere/plots"), "--plots nowhere/plots: cannot be made: No such file or"),
        (("x.html", "--plots", "run.py"), "--plots run.py: cannot be made: File exists"),
    ],
)
def test_what_cannot_be_shown(
    tmp_path: Path, harness_command: Shell, arguments: tuple[str, ...], said: str
) -> None:
    if "--results" not in arguments:
        results = store(tmp_path, trained("torch", "lstm", 0), trained("numpy", "lstm", 0))
        arguments = (*arguments, "--results", str(results))
    refused(harness_command("report", *arguments), said)
    assert not (ROOT / "x.html").exists()


def test_records_of_a_newer_version_are_named(tmp_path: Path, harness_command: Shell) -> None:
    store(tmp_path, trained("torch", "lstm", 0))
    (path,) = tmp_path.glob("runs/*/*/record.json")
    path.write_text(path.read_text("utf-8").replace('"schema": 1', '"schema": 99'), "utf-8")
    done = harness_command("report", str(tmp_path / "x.html"), "--results", str(tmp_path))
    refused(done, "schema 99 is unknown to this version", "no runs in")


@pytest.mark.long
def test_records_of_which_parts_are_missing_are_on_the_page(tmp_path: Path) -> None:
    empty: tuple[dict[str, object], ...] = (
        {"details": {}},
        {"history": [{}]},
        {"environment": {}},
        {"config": {}},
    )
    runs = [replace(trained("torch", "lstm", seed), **parts) for seed, parts in enumerate(empty)]  # type: ignore[arg-type]
    assert "All runs" in written(tmp_path, *runs).read_text("utf-8")


@pytest.mark.parametrize("package", ["altair", "vl_convert", "matplotlib"])
def test_without_a_package_it_says_how_to_get_it(
    tmp_path: Path, harness_command: Shell, shadow: Callable[[str, str], dict[str, str]], package: str
) -> None:
    store(tmp_path, trained("torch", "lstm", 0))
    env = shadow(package, f"raise ModuleNotFoundError(\"No module named '{package}'\")")
    plots = ("--plots", str(tmp_path / "plots")) if package == "matplotlib" else ()
    done = harness_command("report", str(tmp_path / "x.html"), "--results", str(tmp_path), *plots, env=env)
    refused(done, "pip install -c constraints.txt", package)
