"""Runs on your own sequences, from the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.store.record import RunRecord
from tests.conftest import ROOT, Shell, environment
from tests.support.npz_files import X, Y, changed, example, save
from tests.support.refusals import refused


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return save(tmp_path / "mine.npz", **example())


def records(results: Path) -> list[RunRecord]:
    return [RunRecord.read(path) for path in sorted(results.glob("runs/*/*/record.json"))]


OWN = ("data=npz", "train.batch_size=16", "data.normalize=standard")


@pytest.mark.long
def test_a_file_of_ones_own_in_two_backends(
    run: Shell, results: Path, mine: Path, tmp_path: Path, harness_command: Shell
) -> None:
    done = run("-m", *OWN, f"data.path={mine}", "backend=numpy,torch", "cell=gru", "train.epochs=2")
    assert done.returncode == 0, done.stderr
    assert "numpy gru-8 npz stored seed 0: ok" in done.stderr
    found = records(results)
    assert {record.backend for record in found} == {"numpy", "torch"}
    for record in found:
        assert (record.data, record.sequence) == ("npz", "stored")
        assert record.details["shape"] == {"steps": 12, "features": 2, "classes": 3}
        assert record.details["train_examples"] == 88  # of 120: 24 test, 8 validate
        assert len(record.details["confusion"]) == 3
        assert re.fullmatch("[0-9a-f]{64}", record.details["data_sha256"])
        assert record.parity_gradient is not None
        assert record.parity_gradient < 1e-4
    losses = [record.test_loss for record in found]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    table = harness_command("table", "--results", str(results), "--by", "backend,data,sequence")
    assert table.returncode == 0
    assert re.search(r"\| numpy +\| npz +\| stored +\|", table.stdout)

    moved = tmp_path / "moved.npz"
    mine.rename(moved)
    again = run(*OWN, f"data.path={moved}", "backend=numpy", "cell=gru", "train.epochs=2")
    assert "complete already" in again.stderr
    save(moved, **example(90))
    changed = run(*OWN, f"data.path={moved}", "backend=numpy", "cell=gru", "train.epochs=2")
    assert changed.returncode == 0, changed.stderr
    assert "complete already" not in changed.stderr
    assert len(records(results)) == 3
    apart = harness_command("table", "--results", str(results))
    assert "data.sha256" in apart.stdout  # two contents never share a mean


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.path=null", "data.path=null: data=npz needs a file with the arrays x and y"),
        ("data=digits", "mine.npz': data=digits is no file of your own"),
        ("data.path=nowhere.npz", "data.path=nowhere.npz: cannot be read: No such file"),
        ("data.path={bad}", "x[0, 0, 0] is nan: must be finite"),
        ("sequence=column", "sequence.name='column': is for images"),
        ("sequence.rows_per_step=2", "sequence.rows_per_step=2: is for images"),
        ("data.test_fraction=1", "data.test_fraction=1: must be a number in (0, 1)"),
        ("data.split_seed=-1", "data.split_seed=-1"),
        ("train.truncate=5", "train.truncate=5: does not divide the sequence's 12 steps"),
        ("train.batch_size=1000", "data=npz has 88 training sequences here, so at most 88"),
    ],
)
def test_a_mistake_is_one_message(run: Shell, mine: Path, tmp_path: Path, override: str, said: str) -> None:
    bad = save(tmp_path / "bad.npz", x=changed((0, 0, 0), np.nan), y=Y)
    refused(run("backend=numpy", *OWN, f"data.path={mine}", override.format(bad=bad)), said)


def test_in_a_sweep_a_bad_file_starts_nothing(run: Shell, results: Path, mine: Path, tmp_path: Path) -> None:
    bad = save(tmp_path / "bad.npz", x=X, y=Y * 2)
    done = run("-m", *OWN, "backend=numpy", f"data.path={mine},{bad}")
    refused(done, "none is 1")
    assert "starting" not in done.stderr
    assert records(results) == []


def test_digits_as_ever(run: Shell, results: Path) -> None:
    assert run("backend=numpy").returncode == 0
    (record,) = records(results)
    assert (record.data, record.sequence) == ("digits", "row")
    assert record.details["shape"] == {"steps": 28, "features": 28, "classes": 10}
    assert "data_sha256" not in record.details


@pytest.mark.long
def test_the_example_of_its_page(tmp_path: Path) -> None:
    """Its Python and its two commands, line by line as they stand there."""
    section = (ROOT / "docs" / "own-sequences.md").read_text("utf-8").split("\n## ")[0]
    python, shell = re.findall(r"```(?:python)?\n(.*?)```", section, re.DOTALL)
    subprocess.run([sys.executable, "-c", python], cwd=tmp_path, check=True)
    assert (tmp_path / "mine.npz").exists()
    for name in ("run.py", "conf", "harness"):
        (tmp_path / name).symlink_to(ROOT / name)
    commands = [line.split("  #")[0].split() for line in shell.strip().splitlines()]
    assert len(commands) == 2
    for command in commands:
        assert command[0] == "python"
        done = subprocess.run(
            [sys.executable, *command[1:]],
            cwd=tmp_path,
            env=environment(HARNESS_LEASES=str(tmp_path / "leases")),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
    paths = sorted((tmp_path / "results").glob("runs/*/*/record.json"))
    found = [json.loads(path.read_text("utf-8")) for path in paths]
    assert {record["data"] for record in found} == {"npz"}
    assert min(record["test_accuracy"] for record in found) > 0.9
