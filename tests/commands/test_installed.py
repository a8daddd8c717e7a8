"""The package without its checkout, as a wheel installs it: it reads what is stored, and can make no run."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.measure.clock import now
from harness.store.attempts import new_attempt, write_record
from tests.conftest import ROOT, Shell, environment
from tests.support.records import record

RUN = (sys.executable, "-c", "import sys; from harness.commands.run import main; sys.exit(main())")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    site = tmp_path / "site"
    site.mkdir()
    for name in ("harness", "hydra_plugins"):
        (site / name).symlink_to(ROOT / name)
    return {"PYTHONPATH": str(site)}


@pytest.mark.parametrize(
    "arguments", [("-m", "harness", "describe", "cell=lstm"), ("-m", "harness", "matrix"), RUN[1:]]
)
def test_what_needs_the_checkout_says_so(
    tmp_path: Path, env: dict[str, str], arguments: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=environment(**env), capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert f"{tmp_path / 'site' / 'conf'}: no such directory" in done.stderr
    assert "pip install --editable" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_stored_can_be_read(
    harness_command: Shell, results: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    write_record(
        record("ok", None, "backend=numpy", test_accuracy=0.9), new_attempt(results, "0" * 20, now())
    )
    done = harness_command("table", "--results", str(results), env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout
