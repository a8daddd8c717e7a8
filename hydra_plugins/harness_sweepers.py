"""Hydra's sweeper for hyperparameter search: `hydra/sweeper=optuna`, on Optuna itself."""

import sys
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from harness.config.checks import refuse
from harness.errors import Unavailable
from harness.store import roots
from harness.sweep import pruning, search
from harness.sweep.objective import DIRECTIONS, WORST
from harness.sweep.status_files import StatusFiles, place
from harness.sweep.task import RunStatus


class OptunaSweeper(Sweeper):
    """`n_trials` runs, `n_jobs` at a time, chosen by a sampler (TPE) with a seed of its own.

    Nothing is kept of a search but its runs: the same command chooses the same runs again, finds them
    complete, and goes on where it was.
    """

    def __init__(
        self, n_trials: int, n_jobs: int, seed: int, pruner: str | None, params: DictConfig | None
    ) -> None:
        self.n_trials, self.n_jobs, self.seed, self.pruner = n_trials, n_jobs, seed, pruner

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config: DictConfig = config
        self.loader = hydra_context.config_loader
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        try:
            import optuna
        except ImportError as error:
            raise Unavailable(
                'optuna is not installed: pip install -c constraints.txt ".[optuna]"'
            ) from error

        objective = self.config.objective
        if objective not in DIRECTIONS:
            raise refuse("objective", objective, f"hydra/sweeper=optuna needs one of {', '.join(DIRECTIONS)}")
        root, directory = str(self.config.results.root), str(self.config.hydra.sweep.dir)
        launcher = self.config.hydra.runtime.choices["hydra/launcher"]
        local = roots.local(root) is not None
        pruning.check(self.pruner, objective=objective, local=local, launcher=launcher)
        fixed, axes = search.space(search.asked(self.config), self.loader)
        Path(directory).mkdir(parents=True, exist_ok=True)
        documents = StatusFiles(place(root, directory))
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=self.seed)
        study = optuna.create_study(
            direction=DIRECTIONS[objective],
            sampler=sampler,
            pruner=pruning.build(self.pruner),
            storage=pruning.storage(directory) if self.pruner else None,
            study_name=pruning.STUDY,
        )
        while len(study.trials) < self.n_trials:
            first = len(study.trials)
            trials = [study.ask() for _ in range(min(self.n_jobs, self.n_trials - first))]
            chosen = [[*fixed, *(f"{axis.key}={axis.suggest(trial)}" for axis in axes)] for trial in trials]
            self.launcher.launch(chosen, initial_job_idx=first)
            entries = {entry.number: entry for entry in documents.read()}
            for trial in trials:
                value, state = _told(entries.get(trial.number), WORST[DIRECTIONS[objective]])
                study.tell(trial, value, state=optuna.trial.TrialState[state])
        _say_best(study, objective)


def _told(entry: RunStatus | None, worst: float) -> tuple[float | None, str]:
    """A trial's value and Optuna's name for how it ended. FAIL: it says nothing about what was chosen."""
    if entry is not None and entry.status == "pruned":
        return None, "PRUNED"
    value = None if entry is None else worst if entry.worst else entry.value
    return value, "FAIL" if value is None else "COMPLETE"


def _say_best(study: Any, objective: str) -> None:
    try:
        best = study.best_trial
    except ValueError:
        sys.stderr.write(f"no run of this search has a {objective}\n")
        return
    chosen = " ".join(f"{key}={value}" for key, value in best.params.items())
    sys.stderr.write(f"best {objective} {best.value:.6g}, of run {best.number + 1}: {chosen}\n")
