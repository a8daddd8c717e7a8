"""docs/adding-a-cell.md, followed to the letter in a copy of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment

PAGE = (ROOT / "docs" / "adding-a-cell.md").read_text("utf-8")
FILES = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for name in ("harness", "conf", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    for name, content in FILES.items():
        assert not (root / name).exists(), f"{name} would be edited, not added"
        (root / name).write_text(content, "utf-8")
    return root


def python(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=environment(PYTHONPATH=str(root)),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_five_files_and_none_of_them_a_test() -> None:
    assert sorted(FILES) == [
        "conf/cell/ugrnn.yaml",
        "harness/backends/keras/cells/ugrnn.py",
        "harness/backends/numpy/cells/ugrnn.py",
        "harness/backends/torch/cells/ugrnn.py",
        "harness/cells/ugrnn.py",
    ]


def test_the_page_counts_its_lines() -> None:
    for name, content in FILES.items():
        assert f"| `{name}` | {len(content.splitlines())} |" in PAGE, (name, len(content.splitlines()))


@pytest.mark.long
@pytest.mark.parametrize(("selection", "least"), [("not long", 13), ("long", 5)])
def test_the_tests_of_every_cell_are_its_tests_too(copy: Path, selection: str, least: int) -> None:
    tests = ("tests/backends/test_parity.py", "tests/backends/test_numpy.py")
    said = python(copy, "-m", "pytest", "-q", *tests, "-m", selection, "-k", "ugrnn")
    passed = int(re.search(r"(\d+) passed", said)[1])  # type: ignore[index]
    assert passed >= least, said
    assert "failed" not in said


@pytest.mark.long
def test_it_runs_and_is_described(copy: Path, tmp_path: Path) -> None:
    said = python(
        copy,
        "run.py",
        "-m",
        "backend=numpy,torch",
        "cell=ugrnn",
        "cell.hidden=16",
        "data=digits",
        "train.epochs=1",
        "threads=1",
        f"results.root={tmp_path}",
    )
    assert said.count("| ugrnn |") == 2
    assert "W_hg" in python(copy, "-m", "harness", "describe", "cell=ugrnn")
    assert "ugrnn" in python(copy, "-m", "harness", "matrix")
