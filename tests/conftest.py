"""Fixtures of all tests: the project's commands as a person types them, and a place for results."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from harness.launcher.variables import recorded
from tests.support import forked
from tests.support.nvidia import NvidiaMachine

ROOT = Path(__file__).parent.parent
# The parity tests compile hundreds of small models, which takes most of their time. Commands under test do
# not inherit this (see `environment`): they compile as they do for a person.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
SMALL = (
    "data=digits",
    "cell.hidden=8",
    "train.epochs=1",
    "threads=1",
    "measure.window_seconds=0.01",
    "measure.warmup_steps=2",
)

# how long an example takes says how busy the machine is, and nothing about what is tested
settings.register_profile(  # the same cases every time: a failure says something of what has been changed
    "busy", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")

Shell = Callable[..., subprocess.CompletedProcess[str]]


def environment(**more: str) -> dict[str, str]:
    """The environment of a command that a person types; Python may cache its bytecode."""
    but = ("HYDRA_", "XLA_", "PYTHONDONTWRITEBYTECODE")
    env = {key: value for key, value in os.environ.items() if not key.startswith(but)}
    return {**env, "COLUMNS": "200", **more}


@pytest.hookimpl(tryfirst=True)  # before `-m` is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the marker `gpu` to every test that is skipped without a GPU, by the reason of its skip."""
    for item in items:
        reasons = (str(mark.kwargs.get("reason", "")) for mark in item.iter_markers("skipif"))
        if any(re.search("CUDA|GPU", reason) for reason in reasons):
            item.add_marker("gpu")


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like that of a command under test, without the variables that are part of a run's key."""
    for name in recorded():
        monkeypatch.delenv(name)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def python(*arguments: str, env: dict[str, str], **options: object) -> subprocess.CompletedProcess[str]:
    """Runs `python …` to its end in the project's directory, in a forked process where that is possible."""
    if set(options) <= {"cwd"} and forked.possible(arguments, env):
        return forked.python(arguments, cwd=options.get("cwd", ROOT), env=env)  # type: ignore[arg-type]
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 300, **options}
    return subprocess.run([sys.executable, *arguments], env=env, **options)  # type: ignore[call-overload]


@pytest.fixture
def run(results: Path) -> Shell:
    """`python run.py …` with its results in a directory of the test's own."""

    def call(*overrides: str, small: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        env = environment(**options.pop("env", {}))  # type: ignore[arg-type]
        sweep = [item for item in overrides if item == "-m"]
        chosen = [*(SMALL if small else ()), *(item for item in overrides if item != "-m")]
        return python("run.py", *sweep, f"results.root={results}", *chosen, env=env, **options)

    return call


@pytest.fixture
def harness_command() -> Shell:
    """`python -m harness …`."""

    def call(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        env = environment(**options.pop("env", {}))  # type: ignore[arg-type]
        return python("-m", "harness", *arguments, env=env, **options)

    return call


@pytest.fixture
def shadow(tmp_path: Path) -> Callable[[str, str], dict[str, str]]:
    """An environment in which importing `package` runs `code` instead: a way to break a real child."""

    def make(package: str, code: str) -> dict[str, str]:
        folder = tmp_path / "shadow" / package
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text(code)
        return {"PYTHONPATH": os.pathsep.join((str(tmp_path / "shadow"), str(ROOT)))}

    return make


@pytest.fixture
def nvidia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NvidiaMachine:
    """In place of this machine one without GPUs and without NVML, until a test installs them."""
    return NvidiaMachine(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def mnist() -> str:
    """Where real MNIST lies, for tests that need it."""
    for root in (os.environ.get("HARNESS_DATA"), ROOT.parent / "shared" / "data"):
        if root and (Path(root) / "mnist" / "train-images-idx3-ubyte.gz").exists():
            return str(Path(root).resolve())
    pytest.skip("real MNIST is missing: set HARNESS_DATA to the directory that holds mnist/")
