"""Over the cores and GPUs of this machine, in joblib's own processes (loky)."""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import Any

from harness.config.schema import Config
from harness.errors import Unavailable
from harness.launcher.launch import resources
from harness.measure.machine import cores
from harness.sweep.run_one import make
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import Task

LOOK_SECONDS = 1.0


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
            begun = {entry.number for task in left[:1] for entry in StatusFiles(str(task.directory)).read()}
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
    if command != os.getpid():
        _end_with(command)
    make(task)


@cache
def _end_with(command: int) -> None:
    """From now on this process, and with it the run that it makes, ends when the command, its parent, does:
    joblib would leave it waiting for more to do."""

    def look() -> None:
        while os.getppid() == command:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
