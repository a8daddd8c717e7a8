"""One run of a sweep: it is a row of the table, whatever happens to it."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.commands import run as run_command
from harness.config.schema import Config
from harness.store.record import RunRecord
from tests.conftest import ROOT, SMALL, Shell, environment
from tests.support.children import Shadow, sabotage, start


def test_a_single_run_leaves_no_sweep(run: Shell, results: Path) -> None:
    assert run("backend=numpy").returncode == 0
    assert [path.name for path in results.iterdir()] == ["runs"]


def test_ctrl_c_before_the_first_run_has_its_cores(results: Path, tmp_path: Path) -> None:
    """Waiting for a lease is part of a run: stopped there, it is a row too."""
    env = {"HARNESS_LEASES": str(tmp_path / "leases")}
    holder = (
        "import sys\nfrom harness.launcher.lease import lease\nfrom harness.measure.machine import cores\n"
        "with lease(len(cores()), [], print): print('held', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder],
        cwd=ROOT,
        env=environment(**env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin and other.stdout  # noqa: PT018
        assert other.stdout.readline() == "held\n"
        process = start(results, "backend=numpy", "seed=0,1", env=env)
        assert process.stderr
        while "waiting for 1 of" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        other.stdin.write("\n")
    assert process.returncode == 130, err
    assert "interrupted" in out
    found = [RunRecord.read(path).status for path in results.glob("runs/*/*/record.json")]
    assert found == ["interrupted"]


def test_a_run_that_cannot_even_be_named_is_a_row_and_the_others_go_on(
    run: Shell, results: Path, shadow: Shadow
) -> None:
    """Its weights, which its key is made of, are gone when it starts: it has no record, but a row."""
    bad = results.parent / "gone.safetensors"
    assert (
        run("backend=numpy", "save_weights=true", "results.root=" + str(results.parent / "first")).returncode
        == 0
    )
    (stored,) = results.parent.glob("first/runs/*/*/weights.safetensors")
    stored.rename(bad)
    env = sabotage(shadow, f"import os\nos.remove({str(bad)!r})")
    done = run("-m", "backend=numpy", f"weights=null,{bad}", env=env)
    assert done.returncode == 1, done.stderr
    assert "| failed |" in done.stdout
    assert str(bad) in done.stderr
    assert [RunRecord.read(path).status for path in results.glob("runs/*/*/record.json")] == ["ok"]
    assert "Traceback" not in done.stderr


def test_none_that_could_start_is_status_2(run: Shell) -> None:
    done = run("-m", "backend=numpy", "seed=0,1", "threads=4096")
    assert done.returncode == 2, done.stderr
    assert done.stdout.count("skipped") == 2


def test_a_configuration_is_validated_once_in_the_command(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each run; the child validates it once more."""
    validated: list[int] = []
    from_mapping = Config.from_mapping

    def counting(values: Mapping[str, Any]) -> Config:
        validated.append(values["seed"])
        return from_mapping(values)

    monkeypatch.setattr(Config, "from_mapping", staticmethod(counting))
    overrides = ["-m", f"results.root={results}", *SMALL, "backend=numpy", "seed=0,1"]
    monkeypatch.setattr(sys, "argv", ["run.py", *overrides])
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert run_command.main() == 0
    assert sorted(validated) == [0, 1]
