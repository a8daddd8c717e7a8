"""Hyperparameter search: the same command continues it, and every trial is a row."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.store.record import RunRecord
from tests.conftest import ROOT, Shell

pytestmark = pytest.mark.usefixtures("own_leases")

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="pip install -c constraints.txt optuna")


SEARCH = (
    "-m",
    "hydra/sweeper=optuna",
    "hydra.sweeper.n_trials=4",
    "backend=numpy",
    "train.learning_rate=tag(log,interval(1e-3,1e-1))",
)


@pytest.mark.long
@needs_optuna
def test_the_same_search_continues(run: Shell, results: Path) -> None:
    first = run(*SEARCH, "objective=val_accuracy")
    assert first.returncode == 0, first.stderr
    found = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    assert len(found) == 4
    best = max(found, key=lambda record: record.validation_accuracy or 0)
    rate = best.config["train"]["learning_rate"]
    assert f"best val_accuracy {best.validation_accuracy:.6g}, of run " in first.stderr
    assert f"train.learning_rate={rate}" in first.stderr
    more = run(*SEARCH, "objective=val_accuracy", "hydra.sweeper.n_trials=5")
    assert more.returncode == 0, more.stderr
    assert more.stderr.count("complete already") == 4
    assert len(list(results.glob("runs/*/*/record.json"))) == 5


@pytest.mark.long
@needs_optuna
def test_failed_and_diverged_runs_are_rows_and_reach_the_search(
    run: Shell, results: Path, tmp_path: Path
) -> None:
    told_to_optuna = tmp_path / "told_to_optuna"
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "sitecustomize.py").write_text(f"""
import optuna.study
tell = optuna.study.Study.tell
def telling(self, trial, values=None, state=None, **more):
    with open({str(told_to_optuna)!r}, "a") as file:
        print(trial.params, values, None if state is None else state.name, file=file)
    return tell(self, trial, values, state, **more)
optuna.study.Study.tell = telling
""")
    done = run(
        "-m",
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.n_jobs=3",
        "hydra/launcher=joblib",
        "objective=seconds_to_target",
        "measure.targets=[0.05,1.0]",
        "backend=numpy",
        "backend.implementation=fused,loop",
        "cell=rnn",
        "cell.activation=relu",
        "train.optimizer=sgd",
        "train.clip_norm=null",
        "train.learning_rate=0.01,1000",
        "train.epochs=5",
        env={"PYTHONPATH": f"{spy}{os.pathsep}{ROOT}"},
    )
    assert done.returncode == 1, done.stderr
    lines = told_to_optuna.read_text().splitlines()
    assert len(lines) == 6
    for line in lines:
        if "'fused'" in line:
            assert line.endswith("None FAIL")
        else:
            assert line.endswith("inf COMPLETE")
    found = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    for record in found:
        fused = record.config["backend"]["implementation"] == "fused"
        wild = record.config["train"]["learning_rate"] > 1
        assert record.status == ("skipped" if fused else "diverged" if wild else "ok"), record
        assert fused is False or "fused" in done.stdout


def test_a_search_needs_an_objective(run: Shell, results: Path) -> None:
    pytest.importorskip("optuna")
    done = run(*SEARCH)
    assert done.returncode == 2, done.stderr
    assert "objective=null: hydra/sweeper=optuna needs one of val_accuracy" in done.stderr
    bad = run(*SEARCH, "objective=val_accuracy", "mode=throughput")
    assert bad.returncode == 2
    assert "objective='val_accuracy': is not measured there: needs mode=train" in bad.stderr
    out = run(*SEARCH, "objective=val_accuracy", "cell.hidden=range(0,9)")
    assert out.returncode == 2
    assert "cell.hidden=0" in out.stderr
