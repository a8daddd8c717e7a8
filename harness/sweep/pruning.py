"""Runs of a search that are ended early, on Optuna's word about their validation accuracy after each epoch.

The study is Optuna's own journal, a file in the sweep's directory: whoever makes a run asks it there, in
whatever process. It serves one command; the next one begins again, from the stored runs.
"""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.config.checks import refuse
from harness.config.schema import Config
from harness.errors import HarnessError
from harness.store.record import RunRecord
from harness.sweep.objective import DIRECTIONS

PRUNERS = ("median", "successive_halving")
HERE = ("basic", "joblib", "submitit_local")  # launchers whose runs are made on this machine
STUDY = "search"


@dataclass(frozen=True)
class SearchTrial:
    """A run's place in a search that prunes: plain data. `seed` is the search's."""

    pruner: str
    seed: int
    number: int
    directory: str

    @staticmethod
    def of(hydra: Any, number: int) -> "SearchTrial | None":
        """From Hydra's own configuration; None where nothing prunes."""
        pruner = hydra.sweeper.get("pruner")
        if pruner is None:
            return None
        return SearchTrial(pruner, hydra.sweeper.seed, number, str(Path(str(hydra.sweep.dir)).absolute()))


def check(pruner: Any, *, objective: str, local: bool, launcher: str) -> None:
    """Raises ConfigError for a pruner that is none, or that could not work: `local` says whether results go
    to a directory."""
    if pruner is None:
        return
    key = "hydra.sweeper.pruner"
    if pruner not in PRUNERS:
        raise refuse(key, pruner, f"must be null or one of {', '.join(PRUNERS)}")
    if objective == "train_throughput":
        raise refuse(
            key, pruner, "goes by validation accuracy, which says nothing about objective=train_throughput"
        )
    if not local and launcher not in HERE:
        raise refuse(
            key,
            pruner,
            f"with hydra/launcher={launcher} the search is asked in a directory that all nodes share: "
            "results.root must be one, not a URL",
        )


def storage(directory: str) -> Any:
    """Optuna's storage in a sweep's directory. Raises OSError where there is no such directory."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(Path(directory) / f"{STUDY}.journal")))


def build(pruner: str | None) -> Any:
    """Optuna's pruner of that name, with its own defaults; the first epoch is where halving begins."""
    from optuna import pruners

    return {
        None: pruners.NopPruner,
        "median": pruners.MedianPruner,
        "successive_halving": partial(pruners.SuccessiveHalvingPruner, min_resource=1),
    }[pruner]()


class OptunaPruner:
    """What a search says about one of its runs. Satisfies `supervise.Pruner`."""

    def __init__(self, trial: SearchTrial, config: Config) -> None:
        """Raises HarnessError where the search cannot be asked."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.trial, self.epochs = trial, config.train.epochs
        self.objective = str(config.objective)
        self.maximize = DIRECTIONS[self.objective] == "maximize"
        self.enough = None if self.maximize else max(config.measure.targets)
        self.best = 0.0
        try:
            kept = storage(trial.directory)
            self.study = optuna.load_study(
                study_name=STUDY,
                storage=kept,
                sampler=optuna.samplers.RandomSampler(),
                pruner=build(trial.pruner),
            )
        except (OSError, KeyError) as error:
            raise HarnessError(
                f"hydra.sweeper.pruner={trial.pruner}: the search cannot be asked in {trial.directory}, "
                "which must be on a disk that all nodes share"
            ) from error
        study = kept.get_study_id_from_name(STUDY)
        number = kept.get_trial_id_from_study_id_trial_number(study, trial.number)
        self.ours = optuna.trial.Trial(self.study, number)

    @property
    def details(self) -> dict[str, Any]:
        """Who pruned a run, for its record."""
        ours = {name: value for name, value in asdict(self.trial).items() if name != "directory"}
        return {"objective": self.objective, **ours}

    def pruned_here(self, record: RunRecord) -> bool:
        """Whether a run was pruned by this search, be it by an earlier command."""
        return record.status == "pruned" and record.details.get("pruned") == self.details

    def report_epoch(self, epoch: Mapping[str, Any]) -> str | None:
        """Tells the search what came of an epoch, see `RunRecord.history`; why the run is to end there, or
        None. A run that has had its last epoch, or reached its target, goes on."""
        number, accuracy = epoch["epoch"], epoch["validation_accuracy"]
        self.best = max(self.best, accuracy)
        self.ours.report(self._value(accuracy), number)
        pruned = self.ours.should_prune()
        arrived = self.enough is not None and self.best >= self.enough
        if not pruned or arrived or number == self.epochs:
            return None
        return (
            f"after epoch {number} of {self.epochs}: validation accuracy {self._compared(number, accuracy)}"
        )

    def replay(self, record: RunRecord) -> None:
        """Tells the search of a run that was made before."""
        for epoch in record.history:
            self.report_epoch(epoch)

    def _value(self, accuracy: float) -> float:
        """What the search compares: where it looks for the least, the error. Its own inverse."""
        return accuracy if self.maximize else 1 - accuracy

    def _compared(self, epoch: int, accuracy: float) -> str:
        """A run's accuracy beside those that it was measured by, as the pruner did it."""
        from optuna.trial import TrialState

        median = self.trial.pruner == "median"
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,) if median else None)
        others = [
            self._value(trial.intermediate_values[epoch])
            for trial in trials
            if trial.number != self.trial.number and epoch in trial.intermediate_values
        ]
        own, what, theirs = (self.best, "median", statistics.median) if median else (accuracy, "best", max)
        return f"{own:.4f}, the {what} of {len(others)} runs was {theirs(others):.4f}"
