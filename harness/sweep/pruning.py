"""Pruning: Optuna ends runs of a search early, judging by their validation accuracy after each epoch.

The study is Optuna's journal, a file in the sweep's directory, where every process that makes a run reads it.
A study serves one command; the next one starts a new study from the stored runs.
"""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.config.checks import config_error
from harness.config.schema import Config
from harness.errors import HarnessError
from harness.store.record import RunRecord
from harness.sweep.objective import DIRECTIONS

PRUNERS = ("median", "successive_halving")
LOCAL_LAUNCHERS = ("basic", "joblib", "submitit_local")  # they make runs on this machine only
STUDY_NAME = "search"


@dataclass(frozen=True)
class SearchTrial:
    """Identifies a run within a search that prunes. `seed` is the search's, `directory` the sweep's."""

    pruner: str
    seed: int
    number: int
    directory: str

    @staticmethod
    def of(hydra: Any, number: int) -> "SearchTrial | None":
        """From Hydra's own configuration; None where nothing is pruned."""
        pruner = hydra.sweeper.get("pruner")
        if pruner is None:
            return None
        return SearchTrial(pruner, hydra.sweeper.seed, number, str(Path(str(hydra.sweep.dir)).absolute()))


def check(pruner: Any, *, objective: str, local: bool, launcher: str) -> None:
    """Raises ConfigError for a pruner that does not exist or cannot work here. `local`: results are stored in
    a directory, not at a URL."""
    if pruner is None:
        return
    key = "hydra.sweeper.pruner"
    if pruner not in PRUNERS:
        raise config_error(key, pruner, f"must be null or one of {', '.join(PRUNERS)}")
    if objective == "train_throughput":
        raise config_error(
            key, pruner, "goes by validation accuracy, which says nothing about objective=train_throughput"
        )
    if not local and launcher not in LOCAL_LAUNCHERS:
        raise config_error(
            key,
            pruner,
            f"with hydra/launcher={launcher} the study is read from a directory that all nodes share: "
            "results.root must be one, not a URL",
        )


def storage(directory: str) -> Any:
    """Optuna's storage in a sweep's directory. Raises OSError if the directory does not exist."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(Path(directory) / f"{STUDY_NAME}.journal")))


def build(pruner: str | None) -> Any:
    """Optuna's pruner of that name with its defaults; successive halving starts after the first epoch."""
    from optuna import pruners

    return {
        None: pruners.NopPruner,
        "median": pruners.MedianPruner,
        "successive_halving": partial(pruners.SuccessiveHalvingPruner, min_resource=1),
    }[pruner]()


class OptunaPruner:
    """Reports the epochs of one run to its study. Satisfies `supervise.Pruner`."""

    def __init__(self, trial: SearchTrial, config: Config) -> None:
        """Raises HarnessError where the study cannot be read."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.trial, self.epochs = trial, config.train.epochs
        self.objective = str(config.objective)
        self.maximize = DIRECTIONS[self.objective] == "maximize"
        self.target = None if self.maximize else max(config.measure.targets)
        self.best_accuracy = 0.0
        try:
            journal = storage(trial.directory)
            self.study = optuna.load_study(
                study_name=STUDY_NAME,
                storage=journal,
                sampler=optuna.samplers.RandomSampler(),
                pruner=build(trial.pruner),
            )
        except (OSError, KeyError) as error:
            raise HarnessError(
                f"hydra.sweeper.pruner={trial.pruner}: the study cannot be read from {trial.directory}, "
                "which must be on a disk that all nodes share"
            ) from error
        study_id = journal.get_study_id_from_name(STUDY_NAME)
        trial_id = journal.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        self.optuna_trial = optuna.trial.Trial(self.study, trial_id)

    @property
    def details(self) -> dict[str, Any]:
        """The search and the trial, for the record of a pruned run."""
        identity = {name: value for name, value in asdict(self.trial).items() if name != "directory"}
        return {"objective": self.objective, **identity}

    def pruned_here(self, record: RunRecord) -> bool:
        """Whether this search pruned the run, in this command or an earlier one."""
        return record.status == "pruned" and record.details.get("pruned") == self.details

    def report_epoch(self, epoch: Mapping[str, Any]) -> str | None:
        """Reports an entry of `RunRecord.history`; returns the reason if the run is to be pruned, else None.

        A run that has finished its last epoch or reached its target is not pruned.
        """
        number, accuracy = epoch["epoch"], epoch["validation_accuracy"]
        self.best_accuracy = max(self.best_accuracy, accuracy)
        self.optuna_trial.report(self._value(accuracy), number)
        should_prune = self.optuna_trial.should_prune()
        reached_target = self.target is not None and self.best_accuracy >= self.target
        if not should_prune or reached_target or number == self.epochs:
            return None
        comparison = self._comparison(number, accuracy)
        return f"after epoch {number} of {self.epochs}: validation accuracy {comparison}"

    def replay(self, record: RunRecord) -> None:
        """Reports the epochs of a stored run."""
        for epoch in record.history:
            self.report_epoch(epoch)

    def _value(self, accuracy: float) -> float:
        """What Optuna compares: the accuracy, or the error where it minimises. Its own inverse."""
        return accuracy if self.maximize else 1 - accuracy

    def _comparison(self, epoch: int, accuracy: float) -> str:
        """A run's accuracy beside the figure that the pruner compared it with."""
        from optuna.trial import TrialState

        by_median = self.trial.pruner == "median"
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,) if by_median else None)
        others = [
            self._value(trial.intermediate_values[epoch])
            for trial in trials
            if trial.number != self.trial.number and epoch in trial.intermediate_values
        ]
        if by_median:
            own, name, reference = self.best_accuracy, "median", statistics.median(others)
        else:
            own, name, reference = accuracy, "best", max(others)
        return f"{own:.4f}, the {name} of {len(others)} runs was {reference:.4f}"
