"""Configurations are composed beside whatever else a process does with Hydra, and from files of one's own."""

import json
import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.config.compose import configuration
from harness.store.record import RunRecord
from tests.conftest import ROOT, SMALL, Shell, environment, python
from tests.support.refusals import refused

NESTED = f"""
import json, sys
import hydra, harness
from hydra import version
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime
from omegaconf import OmegaConf

def state():
    return [id(GlobalHydra.instance().hydra), HydraConfig.get().job.name, str(version.getbase()),
            JobRuntime.instance().get("name"), OmegaConf.create({{"a": "${{now:%Y}}"}}).a]

@hydra.main(version_base="1.2", config_path=None)
def main(_):
    OmegaConf.register_new_resolver("now", lambda _: "mine", replace=True)
    before = state()
    record = harness.run([*{SMALL!r}, "backend=numpy", f"results.root={{sys.argv[1].split('=')[1]}}"])
    print(json.dumps([record.status, before, state()]))

main()
"""

THREADS = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
import harness

def one(seed):
    return harness.run([*{SMALL!r}, "backend=numpy", f"seed={{seed}}", f"results.root={{sys.argv[1]}}"])

with ThreadPoolExecutor(2) as pool:
    print(*((record.status, record.seed) for record in pool.map(one, [0, 1, 0])))
"""


def program(tmp_path: Path, code: str, *arguments: str) -> str:
    path = tmp_path / "program.py"
    path.write_text(code)
    done = python(str(path), *arguments, env=environment(PYTHONPATH=str(ROOT)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_threads_compose_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        seeds = pool.map(lambda seed: configuration(["backend=numpy", f"seed={seed}"]).seed, range(24))
        assert list(seeds) == list(range(24))


def test_threads_run_at_once(tmp_path: Path, results: Path) -> None:
    said = program(tmp_path, THREADS, str(results))
    assert said.split("\n")[0] == "('ok', 0) ('ok', 1) ('ok', 0)"
    assert len(list(results.glob("runs/*"))) == 2


def test_a_run_inside_of_another_application_of_hydra(tmp_path: Path, results: Path) -> None:
    said = program(tmp_path, NESTED, f"+results={results}")
    status, before, after = json.loads(said.splitlines()[-1])
    assert status == "ok"
    assert before == after
    assert before[2:] == ["1.2", "program", "mine"]


# a person's own files


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory with an experiment and a cell."""
    place = tmp_path / "own files"
    for name, text in {
        "experiment/mine": "# @package _global_\ndefaults: [override /cell: narrow]\ntrain:\n  epochs: 2\n",
        "cell/narrow": "name: gru\nhidden: 4\n",
    }.items():
        path = place / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return place


TINY = [part for part in SMALL if not part.startswith(("cell.", "train."))]


def typed(tmp_path: Path, *arguments: str) -> list[RunRecord]:
    """Runs `run.py` in a directory that is not the checkout; the records that it stored there."""
    done = python(str(ROOT / "run.py"), *arguments, env=environment(PYTHONPATH=str(ROOT)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return sorted(
        (RunRecord.read(path) for path in tmp_path.glob("r/runs/*/*/record.json")), key=lambda one: one.seed
    )


def is_mine(record: RunRecord) -> bool:
    return (record.cell, record.hidden, record.epochs) == ("gru", 4, 2)


@pytest.mark.parametrize("option", ["--config-dir", "hydra.searchpath"])
def test_own_files_from_any_directory(tmp_path: Path, own: Path, option: str) -> None:
    source = [option, own.name] if option == "--config-dir" else [f'hydra.searchpath=["{own}"]']
    overrides = ["backend=numpy", "+experiment=mine", *TINY, "results.root=r"]
    (record,) = typed(tmp_path, *source, *overrides)
    assert is_mine(record)
    program, file, *again = shlex.split(record.command)
    assert (program, file) == ("python", "run.py")
    assert typed(tmp_path, *again) == [record]


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.long)])
@pytest.mark.parametrize("option", ["--config-dir", pytest.param("hydra.searchpath", marks=pytest.mark.long)])
def test_own_files_in_a_sweep(tmp_path: Path, own: Path, option: str, launcher: str) -> None:
    if launcher == "joblib":
        pytest.importorskip("joblib", reason="pip install -c constraints.txt joblib")
    source = [option, str(own)] if option == "--config-dir" else [f'hydra.searchpath=["{own}"]']
    overrides = ["backend=numpy", "+experiment=mine", "seed=0,1", f"hydra/launcher={launcher}", *TINY]
    records = typed(tmp_path, "-m", *source, *overrides, "results.root=r")
    assert [record.seed for record in records] == [0, 1]
    assert all(is_mine(record) for record in records)
    _, _, *again = shlex.split(records[1].command)
    assert typed(tmp_path, *again) == records


@pytest.mark.long
def test_own_files_in_a_search(tmp_path: Path, own: Path) -> None:
    pytest.importorskip("optuna", reason="pip install -c constraints.txt optuna")
    search = ["hydra/sweeper=optuna", "objective=val_accuracy", "hydra.sweeper.n_trials=1", "seed=range(0,9)"]
    (record,) = typed(
        tmp_path,
        "-m",
        "--config-dir",
        str(own),
        "backend=numpy",
        "+experiment=mine",
        *search,
        *TINY,
        "results.root=r",
    )
    assert is_mine(record)
    _, _, *again = shlex.split(record.command)
    assert typed(tmp_path, *again) == [record]


def test_another_primary_configuration(tmp_path: Path, own: Path) -> None:
    """`--config-path` replaces conf/, which then has to be named if its groups are still to be found."""
    whole = (ROOT / "conf" / "config.yaml").read_text("utf-8")
    (own / "whole.yaml").write_text(whole.replace("\nseed: 0\n", "\nseed: 7\n"))
    groups = f'hydra.searchpath=["{ROOT}/conf"]'
    options = ["--config-path", own.name, "--config-name", "whole"]
    (record,) = typed(tmp_path, *options, groups, "backend=numpy", *SMALL, "results.root=r")
    assert record.seed == 7
    _, _, *again = shlex.split(record.command)
    assert again[:4] == ["--config-path", str(own), "--config-name", "whole"]
    assert typed(tmp_path, *again) == [record]


def test_the_printed_configuration_is_that_of_the_run(tmp_path: Path, own: Path, run: Shell) -> None:
    done = python(
        str(ROOT / "run.py"),
        "--config-dir",
        own.name,
        "+experiment=mine",
        "--cfg",
        "job",
        env=environment(PYTHONPATH=str(ROOT)),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "epochs: 2" in done.stdout
    assert os.listdir(tmp_path) == [own.name]  # noqa: PTH208


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    done = python(
        str(ROOT / "run.py"),
        "--config-dir",
        "nowhere",
        "backend=numpy",
        env=environment(PYTHONPATH=str(ROOT)),
        cwd=tmp_path,
    )
    said = refused(done, f"--config-dir {tmp_path}/nowhere: no such directory")
    assert len(said.splitlines()) == 1
