"""A sweep is stored wherever its output goes: nowhere, to a full disk, in ASCII, on a narrow terminal."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store.record import RunRecord
from tests.conftest import ROOT, SMALL, environment
from tests.support.terminal import on_a_terminal

pytestmark = pytest.mark.usefixtures("own_leases")

SWEEP = ("-m", "backend=numpy", "seed=0,1", *SMALL, "cell=rnn", "measure.seconds=0.1")
ASCII = {"PYTHONIOENCODING": "ascii"}
LATIN = {"PYTHONIOENCODING": "latin-1"}
C_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
NARROW = {"COLUMNS": "20"}
DUMB = {"TERM": "dumb"}


def sweep(
    results: Path, redirection: str, *more: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A sweep of two runs in a shell with a redirection, to its end; its status is `python`'s."""
    script = f'"$@" {redirection}\nexit ${{PIPESTATUS[0]}}'
    arguments = [sys.executable, "run.py", *SWEEP, f"results.root={results}", *more]
    return subprocess.run(
        ["bash", "-c", script, "bash", *arguments],
        cwd=ROOT,
        env=environment(**env or {}),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
    )


def assert_made(done: subprocess.CompletedProcess[str], results: Path) -> None:
    found = [RunRecord.read(path).status for path in results.glob("runs/*/*/record.json")]
    assert found == ["ok", "ok"], done.stderr
    assert done.returncode == 0, done.stderr
    assert not re.search("Traceback|Exception ignored|Error", done.stdout + done.stderr), done.stderr


LONG = [
    pytest.param(
        redirection, env, id=f"{redirection} {' '.join(map('='.join, env.items()))}", marks=pytest.mark.long
    )
    for redirection in ("2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", "2>&1 | true", "2>&1 | head -n 1")
    for env in (ASCII, C_LOCALE, NARROW | DUMB)
]


@pytest.mark.parametrize(
    ("redirection", "env"),
    [
        ("2>/dev/full", {}),
        pytest.param("2>&1 | head -n 1", {}, marks=pytest.mark.long),
        pytest.param("<&- >&- 2>&-", {}, marks=pytest.mark.long),
        *LONG,
    ],
)
def test_output_that_goes_nowhere(results: Path, redirection: str, env: dict[str, str]) -> None:
    assert_made(sweep(results, redirection, env=env), results)


@pytest.mark.parametrize(
    ("env", "between"),
    [
        (ASCII, "+-"),
        pytest.param(LATIN, "\ufffd", marks=pytest.mark.long),
        pytest.param(C_LOCALE, "+-", marks=pytest.mark.long),
        pytest.param(NARROW, "±", marks=pytest.mark.long),
        pytest.param(DUMB, "±", marks=pytest.mark.long),
    ],
    ids=str,
)
def test_output_that_cannot_hold_every_character(results: Path, env: dict[str, str], between: str) -> None:
    """The table has a ± between a mean and its deviation."""
    done = sweep(results, "", env=env)
    assert_made(done, results)
    assert f" {between} " in done.stdout


@pytest.mark.long
def test_a_full_disk_below_the_table_is_named(results: Path) -> None:
    done = sweep(results, ">/dev/full")
    assert_made(done, results)
    assert done.stderr.splitlines()[-1] == "standard output cannot be written: No space left on device"


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&1 | true"])
def test_runs_in_other_processes(results: Path, launcher: str, redirection: str) -> None:
    """What these processes write has nowhere to go either."""
    pytest.importorskip(launcher.partition("_")[0])
    assert_made(sweep(results, redirection, f"hydra/launcher={launcher}"), results)


@pytest.mark.long
@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_terminal_of_twenty_columns(results: Path, term: str) -> None:
    status, said = on_a_terminal(20, *SWEEP, f"results.root={results}", term=term)
    assert status == 0, said
    assert len(list(results.glob("runs/*/*/record.json"))) == 2
    assert "Traceback" not in said
    assert (term == "xterm") == ("\x1b[" in said)
    assert term == "xterm" or "[2/2] numpy rnn-8 digits row seed 1: starting" in said


def test_the_display_of_somebody_elses_program(results: Path) -> None:
    """It leaves that program's streams alone, and does not end its run."""
    code = f"""
import sys
import harness

class Full:
    def write(self, text=""):
        raise OSError(28, "No space left on device")
    flush = write

stdout, sys.stderr = sys.stdout, Full()
record = harness.run(["backend=numpy", "results.root={results}", *{SMALL!r}])
assert sys.stdout is stdout
assert type(sys.stderr) is Full
print(record.status)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, timeout=300
    )
    assert done.stdout == b"ok\n"


@pytest.mark.long
def test_a_reader_of_stderr_that_leaves_in_the_middle(results: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "run.py", *SWEEP, f"results.root={results}"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr
        assert b"starting" in process.stderr.readline()
        process.stderr.close()
    assert process.returncode == 0
    assert len(list(results.glob("runs/*/*/record.json"))) == 2


@pytest.mark.long
def test_numbers_of_closed_streams_are_not_taken_by_its_files(results: Path) -> None:
    """With its output closed, whatever the command opens first would have its number."""
    code = (
        "import os, runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path('run.py', run_name='__main__')\n"
        "finally: os.write(3, ' '.join(os.readlink(f'/proc/self/fd/{fd}') for fd in range(3)).encode())"
    )
    seen = results.parent / "seen"
    script = f'exec "$@" <&- >&- 2>&- 3>"{seen}"'
    arguments = [sys.executable, "-c", code, "run.py", *SWEEP, f"results.root={results}"]
    done = subprocess.run(
        ["bash", "-c", script, "bash", *arguments], cwd=ROOT, env=environment(), timeout=300
    )
    assert done.returncode == 0
    assert seen.read_text() == " ".join([os.devnull] * 3)
