"""What a command prints, it prints as far as its output can take it."""

import re
import subprocess
import sys

import pytest

from harness.text import ascii_for
from tests.conftest import ROOT, SMALL, Shell, environment

ENCODINGS = [
    pytest.param({"PYTHONIOENCODING": "ascii"}, id="ascii"),
    pytest.param({"PYTHONIOENCODING": "latin-1"}, id="latin-1"),
    pytest.param({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, id="C"),
]
MATRIX = ("-m", "harness", "matrix")
DESCRIBE = pytest.param(
    ("-m", "harness", "describe", "cell=lstm"), marks=pytest.mark.long
)  # imports frameworks


def shell(command: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """`python *arguments` where a line of bash has "$@"; its status is the first command's."""
    script = f"{command}\nexit ${{PIPESTATUS[0]}}"
    return subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, *arguments],
        cwd=ROOT,
        env=environment(**env),
        capture_output=True,
        timeout=300,
    )


@pytest.mark.parametrize("env", ENCODINGS)
@pytest.mark.parametrize(
    "arguments",
    [
        DESCRIBE,
        MATRIX,
        ("-m", "harness", "race", "--help"),
        ("run.py", "--help"),
        ("run.py", "--cfg", "job"),
        pytest.param(("-m", "harness", "doctor"), marks=pytest.mark.long),
    ],
    ids=lambda arguments: " ".join(arguments[1:]),
)
def test_characters_that_an_encoding_lacks(arguments: tuple[str, ...], env: dict[str, str]) -> None:
    done = shell('"$@"', *arguments, **env)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout
    if env.get("PYTHONIOENCODING") != "latin-1":
        assert done.stdout.isascii()


def test_what_stands_for_a_character() -> None:
    assert "".join(map(ascii_for, "±σΣ∘²₁…é–✓")) == "+-sigmasum*21...e-+"
    assert ascii_for("漢") == "?"


def test_a_matrix_in_ascii_still_tells_what_is_there_from_what_is_missing() -> None:
    there, missing = (
        shell('"$@"', *MATRIX, PYTHONIOENCODING=encoding).stdout for encoding in ("utf-8", "ascii")
    )
    assert missing.decode() == there.decode().translate({ord(c): ascii_for(c) for c in "✓–…×"})


@pytest.mark.parametrize("arguments", [DESCRIBE, MATRIX])
def test_a_reader_that_has_seen_enough(arguments: tuple[str, ...]) -> None:
    done = shell('"$@" | true', *arguments)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [DESCRIBE, MATRIX])
def test_a_full_disk(arguments: tuple[str, ...]) -> None:
    done = shell('"$@" >/dev/full', *arguments)
    assert done.returncode == 1
    assert done.stderr == b"standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_streams(closed: str) -> None:
    done = shell(f'"$@" {closed}', *MATRIX)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>&1 | true"])
def test_a_mistake_that_nobody_is_told_of_has_its_status(redirection: str) -> None:
    assert shell(f'"$@" {redirection}', "run.py", "cell.hidden=0").returncode == 2
    assert shell(f'"$@" {redirection}', "-m", "harness", "table", "--results", "nowhere").returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("race", "--help"), pytest.param(("describe", "cell=lstm"), marks=pytest.mark.long)],
    ids=str,
)
def test_texts_do_not_depend_on_docstrings(harness_command: Shell, arguments: tuple[str, ...]) -> None:
    plain, optimized = (harness_command(*arguments, env=env) for env in ({}, {"PYTHONOPTIMIZE": "2"}))
    assert optimized.returncode == 0, optimized.stderr
    assert optimized.stdout == plain.stdout
    assert plain.stdout


@pytest.mark.long
def test_a_run_without_docstrings_and_assertions(run: Shell) -> None:
    env = {"PYTHONOPTIMIZE": "2"}
    assert run("--help", env=env).stdout == run("--help").stdout
    done = run("-m", "backend=numpy", "seed=0", *SMALL, env=env)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\| numpy +\| lstm +\|", done.stdout)
