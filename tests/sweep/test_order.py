"""The order of a sweep's runs: block by block, whoever makes them, and never in a run's key."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.types import RunMode

import hydra_plugins.harness_launchers as launchers
from harness.commands.run import HydraTask
from harness.config.compose import CONFIG_NAME, config_loader
from harness.launcher.key import run_key
from harness.store.record import RunRecord
from harness.sweep import extras
from harness.sweep.display import ProgressDisplay
from harness.sweep.executors import submitit
from harness.sweep.finish import finish_runs
from harness.sweep.order import arrange, blocks
from harness.sweep.plan import make_plan
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus, Task
from tests.conftest import SMALL, Shell
from tests.support.configurations import composed
from tests.support.sweeps import task

pytestmark = pytest.mark.usefixtures("own_leases")

DRY, GIVEN = "sweep.dry_run=true", "sweep.order=given"
SWEEP = ("-m", "backend=numpy,torch", "cell=gru,lstm", "seed=0,1,2")


def listed(stdout: str) -> list[tuple[str, str]]:
    """Each run of a dry run: its backend and cell, and its seed; numbered from 1 on."""
    found = re.findall(r"^\[(\d+)/\d+\] (\w+ \w+)-8 .* seed (\d): would run", stdout, re.MULTILINE)
    assert [int(number) for number, _, _ in found] == list(range(1, len(found) + 1))
    return [(run, seed) for _, run, seed in found]


def test_every_configuration_of_a_seed_and_then_the_next_seed_in_reverse(run: Shell) -> None:
    there = ["numpy gru", "numpy lstm", "torch gru", "torch lstm"]
    assert listed(run(*SWEEP, DRY).stdout) == [
        (name, seed) for seed in "012" for name in (there[::-1] if seed == "1" else there)
    ]
    given = run("-m", "backend=numpy", "cell=gru,lstm", "seed=0,1", DRY, GIVEN)
    assert listed(given.stdout) == [(name, seed) for name in there[:2] for seed in "01"]


def test_what_is_given_matters_to_blocks_only_as_an_order_of_seeds_and_configurations() -> None:
    runs = [("a", 7), ("a", 3), ("b", 7), ("b", 7), ("b", 3), ("c", 3)]
    assert blocks(runs) == [[0, 2, 3], [5, 4, 1]]
    assert blocks([("a", 1), ("b", 1)]) == [[0, 1]], "a single seed is one block"


@pytest.mark.long
def test_runs_are_made_and_recorded_in_that_order(run: Shell, results: Path) -> None:
    sweep = ("-m", "backend=numpy", "cell.hidden=8,9", "seed=0,1")
    first = run(*sweep, "seed=0")
    assert first.returncode == 0, first.stderr
    done = run(*sweep)
    assert done.returncode == 0, done.stderr
    ended = re.findall(r"\[(\d)/4\] numpy lstm-(\d) \w+ row seed (\d): (ok|complete already)", done.stderr)
    assert ended == [
        ("1", "8", "0", "complete already"),
        ("2", "9", "0", "complete already"),
        ("3", "9", "1", "ok"),
        ("4", "8", "1", "ok"),
    ]
    records = sorted(
        (RunRecord.read(path) for path in results.glob("runs/*/*/record.json")), key=lambda r: r.started
    )
    assert [(r.hidden, r.seed) for r in records] == [(8, 0), (9, 0), (9, 1), (8, 1)]
    assert [r.details["sweep"] for r in records] == [
        {"order": "blocks", "place": place, "block": block}
        for place, block in ((1, 1), (2, 1), (3, 2), (4, 2))
    ]
    words = records[2].command.split()  # though Hydra had another run in its place
    assert ("cell.hidden=9" in words, words[-1]) == (True, "seed=1")


def test_a_single_run_has_no_place_in_a_sweep(run: Shell, results: Path) -> None:
    assert run("backend=numpy", GIVEN).returncode == 0
    (path,) = results.glob("runs/*/*/record.json")
    assert "sweep" not in RunRecord.read(path).details


@pytest.mark.usefixtures("plain_environment")
def test_the_order_is_not_in_a_runs_key() -> None:
    assert run_key(composed(GIVEN), 1) == run_key(composed(), 1)


@pytest.mark.parametrize(("value", "said"), [("blocks,given", "the same for all runs"), ("random", "one of")])
def test_an_order_that_a_sweep_cannot_have_is_refused(run: Shell, value: str, said: str) -> None:
    done = run("-m", "backend=numpy", f"sweep.order={value}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"sweep.order='{value}': must be" in done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_run_that_was_lost_keeps_its_place(results: Path) -> None:
    placed, _ = arrange([task(results), task(results, 1)])
    files = StatusFiles(str(placed.directory))
    files.write(replace(RunStatus.starting(placed), host="a machine that is gone"))
    display = ProgressDisplay(total=1)
    display.read(files)
    (record,) = finish_runs(display, files.location, interrupted=True, failed=False).records
    assert record.details["sweep"] == {"order": "blocks", "place": 1, "block": 1}


# launchers


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """What launchers hand on to an executor, which makes nothing."""
    handed_on: list[Task] = []

    def execute(executor: str, tasks: Sequence[Task], options: Mapping[str, Any]) -> None:
        handed_on.extend(tasks)

    monkeypatch.setattr(launchers, "execute", execute)
    return handed_on


LAUNCHERS = (launchers.JoblibLauncher, launchers.RayLauncher, launchers.SubmititLauncher)


@pytest.mark.parametrize("kind", LAUNCHERS)
def test_launchers_submit_runs_in_that_order(
    kind: type[Any], executed: list[Task], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(["-m", f"results.root={results}", *SMALL, *SWEEP[1:]])
    assert plan is not None
    launcher = kind()
    launcher.function = HydraTask(ProgressDisplay(), plan.tasks or ())
    returned = launcher.launch([[]] * 12, 0)
    assert len(returned) == 12
    assert [each.number for each in executed] == list(range(12))
    assert [each.config.seed for each in executed] == [0] * 4 + [1] * 4 + [2] * 4


def test_a_batch_of_a_search_is_ordered_and_its_trials_keep_their_numbers(
    executed: list[Task], results: Path
) -> None:
    overrides = [f"results.root={results}", "hydra/sweeper=optuna", *SMALL]
    trials = [[f"cell={cell}", f"seed={seed}"] for cell in ("gru", "lstm") for seed in (0, 1)]
    launcher = launchers.JoblibLauncher()
    with config_loader(None, None) as loader:
        launcher.function, launcher.loader = HydraTask(ProgressDisplay()), loader
        launcher.config = loader.load_configuration(CONFIG_NAME, overrides, RunMode.MULTIRUN)
        returned = launcher.launch([[*SMALL, *trial] for trial in trials], 8)
    assert len(returned) == 4
    assert [(each.number, each.config.cell.name, each.config.seed) for each in executed] == [
        (8, "gru", 0),
        (10, "lstm", 0),
        (11, "lstm", 1),
        (9, "gru", 1),
    ]
    assert [each.place["place"] for each in executed if each.place] == [9, 10, 11, 12]


def test_slurm_jobs_with_other_resources_are_submitted_in_that_order(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One array for each stretch of runs that need the same."""
    arrays: list[list[int]] = []

    class Job:
        def done(self) -> bool:
            return True

    class AutoExecutor:
        def __init__(self, **options: object) -> None:
            pass

        def update_parameters(self, **options: object) -> None:
            pass

        def map_array(self, make: object, tasks: list[Task]) -> list[Job]:
            arrays.append([each.number for each in tasks])
            return [Job() for _ in tasks]

    monkeypatch.setattr(extras, "require", lambda _: type("Submitit", (), {"AutoExecutor": AutoExecutor}))
    tasks = [task(results, number, f"threads={threads}") for number, threads in enumerate((1, 2, 2, 1))]
    submitit.execute(tasks, {"cluster": "local", "folder": str(results), "timeout_min": 5})
    assert arrays == [[0], [1, 2], [3]]
