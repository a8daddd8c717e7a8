"""What a hyperparameter search is after: one number of a run's record."""

import math
from dataclasses import dataclass

from harness.config.schema import Config
from harness.store.record import RunRecord

DIRECTIONS = {"val_accuracy": "maximize", "train_throughput": "maximize", "seconds_to_target": "minimize"}
WORST = {"maximize": 0.0, "minimize": math.inf}

# ended by what was chosen for it: to be learnt from. Other ends say nothing about the choice.
CHOSEN = ("diverged", "out_of_memory", "timeout")


@dataclass(frozen=True)
class Found:
    """A run's value of the objective, or that none is worse, or neither."""

    value: float | None = None
    worst: bool = False


def found(config: Config, record: RunRecord) -> Found:
    """What `objective` names: validation accuracy after the last epoch, training throughput in sequences/s,
    or training seconds to the highest of `measure.targets`.

    A run that never got there, or was ended by its own configuration (diverged, out of memory, too slow for
    its time limit), is the worst; one that ended otherwise says nothing.
    """
    name = config.objective
    if name is None:
        return Found()
    if record.status in CHOSEN:
        return Found(worst=True)
    if not record.ok:
        return Found()
    if name == "val_accuracy":
        return Found(record.validation_accuracy)
    if name == "train_throughput":
        return Found(record.train_throughput)
    reached = (record.seconds_to_target or {}).get(str(max(config.measure.targets)))
    return Found(reached, worst=reached is None)
