"""`sweep.dry_run=true` lists what would run, what is complete and what cannot start, and writes nothing."""

import re
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.store.record import RunRecord
from tests.conftest import Shell

DRY = "sweep.dry_run=true"


def snapshot(directory: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in [directory, *directory.rglob("*")]}


def test_nothing_is_complete_yet(run: Shell, results: Path) -> None:
    done = run("-m", "backend=numpy,torch", "seed=0,1", DRY)
    assert done.returncode == 0, done.stderr
    assert not results.exists()
    assert done.stdout.splitlines() == [
        "[1/4] numpy lstm-8 digits row seed 0: would run",
        "[2/4] torch lstm-8 digits row seed 0: would run",
        "[3/4] torch lstm-8 digits row seed 1: would run",
        "[4/4] numpy lstm-8 digits row seed 1: would run",
        "4 would run, 0 complete already, 0 cannot start",
    ]


def test_a_single_run(run: Shell, results: Path) -> None:
    done = run("backend=numpy", DRY)
    assert done.returncode == 0, done.stderr
    assert not results.exists()
    assert done.stdout.startswith("numpy lstm-8 digits row seed 0: would run\n")


def test_a_complete_run_has_its_record_and_another_its_duration(run: Shell, results: Path) -> None:
    assert run("backend=numpy", "seed=1").returncode == 0
    (path,) = results.glob("runs/*/*/record.json")
    record = RunRecord.read(path)
    before = snapshot(results)
    done = run("-m", "backend=numpy", "seed=1,2", DRY)
    assert done.returncode == 0, done.stderr
    assert snapshot(results) == before
    complete, would, total = done.stdout.splitlines()
    assert complete == f"[1/2] numpy lstm-8 digits row seed 1: complete already, {path}"
    about = re.fullmatch(r"\[2/2\] numpy lstm-8 digits row seed 2: would run, about 0:00:(\d\d)", would)
    assert about
    assert record.total_seconds is not None
    assert int(about[1]) == round(record.total_seconds - record.timing["phases"]["lease"])
    assert total.startswith("1 would run (one after another about 0:00:")
    assert total.endswith("1 complete already, 0 cannot start")
    again = run("-m", "backend=numpy", "seed=1,2", DRY, "sweep.rerun=all")
    assert again.stdout.splitlines()[-1].startswith("2 would run")
    real = run("-m", "backend=numpy", "seed=1,2")
    assert real.returncode == 0
    assert "seed 1: complete already" in real.stderr
    assert "seed 2: ok" in real.stderr


def test_what_cannot_start_says_why(run: Shell, results: Path) -> None:
    done = run("-m", "backend=numpy,torch", "backend.implementation=fused", DRY)
    assert done.returncode == 0, done.stderr
    first, second, total = done.stdout.splitlines()
    assert first.endswith("cannot start: numpy has no fused lstm; it has: loop")
    assert second.endswith("torch fused lstm-8 digits row seed 0: would run")
    assert total == "1 would run, 0 complete already, 1 cannot start"
    none = run("-m", "backend=numpy", "seed=0,1", "threads=4096", DRY)
    assert none.returncode == 2
    assert none.stdout.count("cannot start: threads=4096: this process may use") == 2
    lacking = run("backend=numpy", f"weights={results}/none.safetensors", DRY)
    assert lacking.returncode == 2
    assert "none.safetensors" in lacking.stdout
    assert not results.exists()


def test_the_same_run_twice_is_made_once(run: Shell) -> None:
    done = run("-m", "backend=numpy", "save_weights=false", "data.download=true,false", DRY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 would run, 1 complete already, 0 cannot start"


def test_an_error_is_an_error(run: Shell, results: Path) -> None:
    done = run("-m", "backend=numpy", "seed=0,-1", DRY)
    assert done.returncode == 2
    assert "seed=-1" in done.stderr
    assert done.stdout == ""
    assert not results.exists()


def test_cfg_job_still_prints_the_configuration(run: Shell, results: Path) -> None:
    done = run("backend=numpy", DRY, "--cfg=job")
    assert done.returncode == 0, done.stderr
    assert "dry_run: true" in done.stdout
    assert not results.exists()


def test_the_runs_of_a_search_are_not_known(run: Shell, results: Path) -> None:
    done = run("-m", "hydra/sweeper=optuna", "objective=val_accuracy", "cell.hidden=range(4,9)", DRY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("20 runs that the search chooses one after another")
    assert not results.exists()


def test_python_cannot_ask_for_a_dry_run(results: Path) -> None:
    import harness

    with pytest.raises(ConfigError, match="dry_run"):
        harness.run([f"results.root={results}", DRY])
    assert not results.exists()
