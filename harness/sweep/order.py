"""The order in which the runs of a sweep are made: `sweep.order`.

In Hydra's order the last key of a command changes fastest. With the seeds last, all runs of one configuration
come before all of the next, and a machine that gets slower or faster meanwhile shows as a difference between
them. Blocks (Fisher, The Design of Experiments, 1935, chapter 4) spread such drift over all configurations;
that every second block is reversed cancels what is linear in time over two blocks.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace

from harness.config.checks import config_error
from harness.config.sections import BLOCKS
from harness.sweep.estimate import RunKind
from harness.sweep.task import Task


def blocks(runs: Sequence[tuple[Hashable, int]]) -> list[list[int]]:
    """Indices of runs, given as (configuration, seed), block by block: one block per seed.

    Seeds and, within a block, configurations are in the order in which they first appear; configurations are
    in the reverse order in every second block.
    """
    configurations = list(dict.fromkeys(configuration for configuration, _ in runs))
    places = {configuration: place for place, configuration in enumerate(configurations)}
    by_seed: dict[int, list[int]] = {seed: [] for _, seed in runs}
    for index in sorted(range(len(runs)), key=lambda index: places[runs[index][0]]):
        by_seed[runs[index][1]].append(index)
    return [block[:: (-1) ** number] for number, block in enumerate(by_seed.values())]


def arrange(tasks: Sequence[Task]) -> list[Task]:
    """The tasks in the order in which they are to be made, each with its place, which counts from 1; in a
    search, from the number of the batch's first trial.

    Raises ConfigError if they do not agree on the order.
    """
    first, *others = tasks
    order = first.config.sweep.order
    for other in others:
        if other.config.sweep.order != order:
            found = f"{order},{other.config.sweep.order}"
            raise config_error("sweep.order", found, "must be the same for all runs of a sweep")
    if order == BLOCKS:
        runs = [(RunKind.of(task.config.to_mapping()).exact, task.config.seed) for task in tasks]
        made = [(tasks[k], {"block": block}) for block, at in enumerate(blocks(runs), 1) for k in at]
    else:
        made = [(task, {}) for task in tasks]
    start = min(task.number for task in tasks) + 1
    return [
        replace(task, place={"order": order, "place": place, **block})
        for place, (task, block) in enumerate(made, start)
    ]
