"""A file that happens to have the name of a library's module, where a command is typed or beside it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL, environment, python

LIBRARIES = ("select", "secrets", "numpy", "pandas", "torch", "typer", "rich", "hydra", "psutil")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with such files, none of which may be imported."""
    folder = tmp_path / "here"
    folder.mkdir()
    put_modules(folder)
    return folder


def put_modules(folder: Path) -> None:
    for name in LIBRARIES:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('{name}.py of {folder.name}')")


def typed(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command that is really started there, with no path to this project but its own."""
    env = environment(**more)
    if "PYTHONPATH" not in more:
        env.pop("PYTHONPATH", None)
    done = python(*arguments, env=env, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def run(program: Path, results: Path, *overrides: str) -> tuple[str, ...]:
    return (str(program), f"results.root={results}", *SMALL, *overrides)


def test_a_run(here: Path, results: Path) -> None:
    assert "ok" in typed(here, *run(ROOT / "run.py", results, "backend=numpy")).stderr


@pytest.mark.long
@pytest.mark.parametrize("backend", ["torch", "keras"])
def test_a_run_of_a_framework(here: Path, results: Path, backend: str) -> None:
    typed(here, *run(ROOT / "run.py", results, f"backend={backend}"))


def test_a_file_beside_run_py(tmp_path: Path, results: Path) -> None:
    """In a checkout that is not installed, where the command is typed as well."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(ROOT / "run.py", checkout)
    for folder in ("harness", "conf", "hydra_plugins"):
        (checkout / folder).symlink_to(ROOT / folder)
    put_modules(checkout)
    typed(checkout, *run(Path("run.py"), results, "backend=numpy"))


def test_the_other_commands(here: Path) -> None:
    assert "lstm" in typed(here, "-m", "harness", "matrix", PYTHONPATH=str(ROOT)).stdout
    assert "lstm" in typed(ROOT, "-m", "harness", "matrix").stdout


@pytest.mark.long
def test_doctor(here: Path) -> None:
    done = typed(here, "-m", "harness", "doctor", PYTHONPATH=str(ROOT))
    assert "of here" not in done.stdout


def test_a_race(here: Path, tmp_path: Path) -> None:
    """Its sides have the environment of a run, too."""
    output = tmp_path / "race.json"
    env = {"PYTHONPATH": str(ROOT), "GOMP_CPU_AFFINITY": "0", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    race = ("race", "backend=numpy", "backend=numpy", *SMALL, "--seconds=0.05", f"--output={output}")
    typed(here, "-m", "harness", *race, **env)
    assert json.loads(output.read_text())["environment"]["variables"] == {"ONEDNN_MAX_CPU_ISA": "AVX2"}
