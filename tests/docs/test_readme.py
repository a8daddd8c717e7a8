"""What the README and the page on sessions say is so."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config import catalogue
from results import publish
from tests.conftest import ROOT, Shell, environment
from tests.gpu.stages import STAGES

README = (ROOT / "README.md").read_text("utf-8")
SESSIONS = (ROOT / "docs" / "sessions.md").read_text("utf-8")


def test_a_session_does_what_its_example_says(tmp_path: Path) -> None:
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", SESSIONS, re.DOTALL) if "open_session" in block
    )
    proof = """
np.testing.assert_allclose(rest.logits, found.logits, atol=1e-5)
np.testing.assert_allclose(rest.states["layers.1.forward.c"], found.states["layers.1.forward.c"], atol=1e-5)
assert all((session.states()[name] == state).all() for name, state in kept.items())
"""
    done = subprocess.run(
        [sys.executable, "-c", code + proof],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "(5, 28, 128) (5, 128) (5, 10)"
    assert "'layers.0.forward.h': (5, 128)" in done.stdout


@pytest.mark.long
def test_the_tournament_ranks_the_implementations_of_a_cell(harness_command: Shell, results: Path) -> None:
    """In a short form: fewer implementations, a small model, little time."""
    (command,) = re.findall(r"^python -m harness tournament \+experiment=answer .*$", README, re.MULTILINE)
    _, _, _, *arguments = shlex.split(command)
    short = ("contender=numpy_loop,torch_fused,torch_loop", "data=digits", "cell.hidden=8", "threads=1")
    done = harness_command(
        *arguments, *short, "measure.window_seconds=0.01", "--seconds=2", f"--results={results}"
    )
    assert done.returncode == 0, done.stderr
    ranked = re.findall(r"^\| \d +\| contender=(\w+) .* \| +([a-z]+) \| ", done.stdout, re.MULTILINE)
    assert sorted(name for name, _ in ranked) == ["numpy_loop", "torch_fused", "torch_loop"]
    assert ranked[0][1][0] == "a"
    assert "Contenders that share a letter cannot be told apart" in done.stdout


def test_every_cell_is_named() -> None:
    (row,) = re.findall(r"^\| `cell` \|.*$", README, re.MULTILINE)
    for path in (ROOT / "conf" / "cell").glob("*.yaml"):
        assert f"`{path.stem}`" in row, path.stem


def test_the_table_of_devices_is_that_of_the_backends() -> None:
    """And it claims no figure of a GPU before there is one."""
    names = {"numpy": "NumPy", "torch": "PyTorch", "keras": "Keras"}
    rows = re.findall(r"^\| `(\w+)`[^|]* \| ([^|]+) \| ([^|]+) \|$", README, re.MULTILINE)
    devices = {
        device: computes.split(", ") for device, computes, _ in rows if device in ("cpu", "cuda", "mps")
    }
    assert devices == {
        device: [name for backend, name in names.items() if device in catalogue.device_kinds(backend)]
        for device in ("cpu", "cuda", "mps")
    }
    measured = (ROOT / publish.GPU).exists()
    for page in (README, (ROOT / "docs" / "gpus.md").read_text("utf-8")):
        assert ("Nothing has been measured on a GPU yet" in page) != measured


def test_the_stages_on_a_gpu_are_those_that_there_are() -> None:
    page = (ROOT / "docs" / "gpus.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\d+) \|$", page, re.MULTILINE)
    assert rows == [(stage.name, f"{stage.seconds:g}") for stage in STAGES]


def test_how_much_faster_the_gru_is_is_a_range_from_both_figures() -> None:
    """The sentence says what the commands below it print, for the median and the undisturbed windows."""
    (range_said,) = re.findall(r"trains a GRU \*\*(.*?) times\*\* as\s+fast\s+as PyTorch", README)
    found = {
        metric or "train_throughput": float(ratio)
        for metric, ratio in re.findall(
            r"^python -m harness compare backend=numpy backend=torch --where cell=gru"
            r"(?: --metric (\S+))? .*\n"
            r"```\n\nbackend=numpy is ([\d.]+) times as fast as backend=torch",
            README,
            re.MULTILINE,
        )
    }
    assert set(found) == {"train_throughput", "train_throughput_best"}
    assert range_said == " to ".join(f"{ratio:.1f}" for ratio in sorted(found.values()))
