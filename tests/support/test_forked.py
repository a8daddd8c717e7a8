"""A forked command is the command: what tests see of it is what a person sees who types it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL, environment
from tests.support import forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are forked on Linux only")


def both(*arguments: str, cwd: Path = ROOT, **env: str) -> tuple[object, object]:
    """Exit status, output and errors of a command that is started, and of one that is forked."""
    started = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment(**env), capture_output=True, text=True
    )
    done = forked.python(arguments, cwd=cwd, env=environment(**env))
    assert done.args == started.args
    return tuple((each.returncode, each.stdout, each.stderr) for each in (started, done))


OTHERS = [
    ("run.py", "--help"),
    ("run.py", "cell.hidden=0"),
    ("-m", "harness"),
    ("-m", "harness", "matrix"),
    ("-m", "harness", "describe", "cell=lstmm"),
    ("-m", "harness", "table", "--results", "nowhere"),
    ("-m", "harness", "tabel"),
    ("-m", "harness", "scaling", "--help"),
    ("-m", "harness", "doctor", "--help"),
]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run.py", "-m", "backend=numpy", "seed=0,1", "sweep.dry_run=true", *SMALL),
        *(pytest.param(arguments, marks=pytest.mark.long) for arguments in OTHERS),
    ],
    ids=" ".join,
)
def test_it_says_and_ends_as_one_that_is_started(arguments: tuple[str, ...], tmp_path: Path) -> None:
    if "run.py" in arguments:
        arguments = (*arguments, f"results.root={tmp_path}")
    started, done = both(*arguments)
    assert done == started


def test_its_place_and_its_environment_are_its_own(
    tmp_path: Path, shadow: Callable[[str, str], dict[str, str]]
) -> None:
    (tmp_path / "tell.py").write_text(
        "import os, sys, tempfile, torch\n"
        "sys.stderr.write(torch.WHO)\n"
        "sys.stdout.write(repr((os.getcwd(), sys.argv, os.environ.get('HERE'), 'PATH' in os.environ,"
        " tempfile.gettempdir(), os.isatty(1), __name__)))\n"
        "sys.exit('a reason')\n"
    )
    env = shadow("torch", "WHO = 'shadow'") | {"HERE": "yes", "TMPDIR": str(tmp_path)}
    started, done = both("tell.py", "a", "b=1", cwd=tmp_path, **env)
    assert done == started
    assert "shadow" in str(done)


def test_what_would_come_too_late_is_started(shadow: Callable[[str, str], dict[str, str]]) -> None:
    assert forked.possible(["run.py"], environment(**shadow("torch", "")))
    assert not forked.possible(["run.py"], environment(**shadow("pandas", "")))
