"""The objective of a hyperparameter search: one number of a run's record."""

import math
from dataclasses import dataclass

from harness.config.schema import Config
from harness.store.record import RunRecord, column

COLUMNS = {  # by objective
    "val_accuracy": "validation_accuracy",
    "train_throughput": "train_throughput",
    "seconds_to_target": "seconds_to_target",
}
DIRECTIONS = {
    name: "maximize" if column(objective).better == "more" else "minimize"
    for name, objective in COLUMNS.items()
}
WORST = {"maximize": 0.0, "minimize": math.inf}

# statuses that the chosen hyperparameters cause; the others say nothing about them
CAUSED_BY_HYPERPARAMETERS = ("diverged", "out_of_memory", "timeout")


@dataclass(frozen=True)
class ObjectiveValue:
    """A run's value, or `worst` if it counts as the worst; neither if the search learns nothing from it."""

    value: float | None = None
    worst: bool = False


def evaluate(config: Config, record: RunRecord) -> ObjectiveValue:
    """The value of `objective`: validation accuracy after the last epoch, training throughput in sequences/s,
    or training seconds to the highest of `measure.targets`.

    A run that never reached the target, diverged, ran out of memory or exceeded its time limit counts as the
    worst. One that ended otherwise without being `ok` has no value.
    """
    name = config.objective
    if name is None:
        return ObjectiveValue()
    if record.status in CAUSED_BY_HYPERPARAMETERS:
        return ObjectiveValue(worst=True)
    if not record.ok:
        return ObjectiveValue()
    value = getattr(record, COLUMNS[name])
    if name == "seconds_to_target":
        reached = (value or {}).get(str(max(config.measure.targets)))
        return ObjectiveValue(reached, worst=reached is None)
    return ObjectiveValue(value)
