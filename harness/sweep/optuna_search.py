"""Hyperparameter search with Optuna: a sampler chooses runs, a launcher makes them.

A search stores only its runs. The same command chooses the same runs again, finds them complete, and
continues after them.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from harness.config.checks import config_error
from harness.store import roots
from harness.sweep import extras, pruning, search_space
from harness.sweep.objective import DIRECTIONS, WORST
from harness.sweep.status_files import StatusFiles, status_directory
from harness.sweep.task import RunStatus


@dataclass(frozen=True)
class SearchOptions:
    """How many runs a search makes, how many of them at a time, and how it chooses and prunes them."""

    n_trials: int
    n_jobs: int
    seed: int
    pruner: str | None


class Launch(Protocol):
    """Makes runs with these overrides, numbered from `initial_job_idx` on: `launch` of Hydra's launchers."""

    def __call__(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> object: ...


def run_search(
    options: SearchOptions, sweep_config: DictConfig, loader: ConfigLoader, launch: Launch
) -> None:
    """Makes the runs of a search and prints the best one.

    Raises Unavailable without Optuna, ConfigError for an objective or a pruner that cannot be used, and what
    `launch` raises.
    """
    optuna = extras.require("optuna")
    objective = sweep_config.objective
    if objective not in DIRECTIONS:
        raise config_error(
            "objective", objective, f"hydra/sweeper=optuna needs one of {', '.join(DIRECTIONS)}"
        )
    root, directory = str(sweep_config.results.root), str(sweep_config.hydra.sweep.dir)
    launcher = sweep_config.hydra.runtime.choices["hydra/launcher"]
    local = roots.local_path(root) is not None
    pruning.check(options.pruner, objective=objective, local=local, launcher=launcher)
    fixed, searched = search_space.parse(sweep_config, loader)
    Path(directory).mkdir(parents=True, exist_ok=True)
    files = StatusFiles(status_directory(root, directory))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction=DIRECTIONS[objective],
        sampler=optuna.samplers.TPESampler(seed=options.seed),
        pruner=pruning.build(options.pruner),
        storage=pruning.storage(directory) if options.pruner else None,
        study_name=pruning.STUDY_NAME,
    )
    while len(study.trials) < options.n_trials:
        first = len(study.trials)
        trials = [study.ask() for _ in range(min(options.n_jobs, options.n_trials - first))]
        launch(
            [[*fixed, *(f"{each.key}={each.suggest(trial)}" for each in searched)] for trial in trials],
            initial_job_idx=first,
        )
        runs = {run.number: run for run in files.read()}
        for trial in trials:
            value, state = _trial_result(runs.get(trial.number), WORST[DIRECTIONS[objective]])
            study.tell(trial, value, state=optuna.trial.TrialState[state])
    _print_best(study, objective)


def _trial_result(run: RunStatus | None, worst: float) -> tuple[float | None, str]:
    """A trial's value and the name of its state in Optuna. FAIL: the search learns nothing from it."""
    if run is not None and run.status == "pruned":
        return None, "PRUNED"
    value = None if run is None else worst if run.worst else run.value
    return value, "FAIL" if value is None else "COMPLETE"


def _print_best(study: Any, objective: str) -> None:
    try:
        best = study.best_trial
    except ValueError:
        sys.stderr.write(f"no run of this search has a {objective}\n")
        return
    parameters = " ".join(f"{key}={value}" for key, value in best.params.items())
    sys.stderr.write(f"best {objective} {best.value:.6g}, of run {best.number + 1}: {parameters}\n")
