"""The stage that says what is there."""

import json
from pathlib import Path

import pytest

from tests.gpu import here, summary

NVIDIA_SMI = """#!/bin/sh
echo "NVIDIA Made-Up, GPU-aa11, 580.1, 143771 MiB, 700.00 W, 1980 MHz, 3201 MHz, Disabled"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stage puts its file, on a machine with a card as `nvidia-smi` describes it."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    said = here._said
    monkeypatch.setattr(
        here, "_said", lambda command, *_: said([str(program)]) if "smi" in command[0] else ""
    )
    monkeypatch.setattr("sys.argv", ["here", "--device=cpu", f"--output={tmp_path}"])
    return tmp_path


def test_card_and_libraries_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        here, "PROBES", {"a": """print('{"version": "1.2"}')""", "b": "import no_such_library"}
    )
    assert here.main() == 0
    libraries = json.loads((folder / here.FILE).read_text())["libraries"]
    assert libraries == {
        "a": {"version": "1.2"},
        "b": {"error": "ModuleNotFoundError: No module named 'no_such_library'"},
    }
    assert summary.card(folder) == "NVIDIA Made-Up (driver 580.1), a 1.2"
    monkeypatch.setattr(
        here, "PROBES", {"a": "raise OSError('libcuda.so is too old')", "b": "import no_such"}
    )
    assert here.main() == 1


def test_a_library_that_does_not_answer_hides_no_card(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.library("import time; time.sleep(60)", 0.2) == {"error": "no answer within 0 s"}

    def interrupted(code: str, seconds: float) -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(here, "library", interrupted)
    with pytest.raises(KeyboardInterrupt):
        here.main()
    assert summary.card(folder) == "NVIDIA Made-Up (driver 580.1)"
