"""Over the cores and GPUs of this machine, in joblib's own processes (loky)."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from harness.config import Config
from harness.environment import cores
from harness.errors import Unavailable
from harness.launcher import resources
from harness.sweep import Documents, Task, make


def spread(tasks: Sequence[Task], options: Mapping[str, Any]) -> None:
    """`n_jobs` at a time, or as many as there are leases for.

    When one of joblib's processes is killed it ends all the others: the runs that were going on are lost,
    and those that had not begun are made by new ones.
    """
    from joblib import Parallel, delayed

    left = list(tasks)
    while left:
        jobs = options["n_jobs"] or most(left)
        try:
            Parallel(n_jobs=jobs, backend="loky", batch_size=1, pre_dispatch=jobs)(
                delayed(_make)(task, os.getpid()) for task in left
            )
            return
        except BrokenProcessPool:
            begun = {entry.number for task in left[:1] for entry in Documents(str(task.directory)).read()}
            rest = [task for task in left if task.number not in begun]
            if len(rest) == len(left):  # it cannot even begin one
                return
            left = rest


def most(tasks: Sequence[Task]) -> int:
    """How many of these runs can have their cores, or a GPU, at once."""
    found = [1]
    for task in tasks:
        try:
            threads, gpus = resources(Config.from_mapping(task.config))
        except Unavailable:
            continue
        found.append(min(len(cores()) // threads, len(gpus)) if gpus else len(cores()) // threads)
    return min(max(found), len(tasks))


def _make(task: Task, command: int) -> None:
    """With the command, by its process id, ends what joblib would leave waiting for more to do."""
    make(task)
    if command not in (os.getppid(), os.getpid()):
        os._exit(0)
