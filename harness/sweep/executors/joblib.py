"""Runs on the cores and GPUs of this machine, in joblib's own processes (loky)."""

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import Any

from harness.errors import Unavailable
from harness.launcher.launch import threads_and_gpus
from harness.measure.clock import sleep
from harness.measure.devices import core_count
from harness.sweep.run_one import make
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import Task
from harness.text import make_streams_tolerant

POLL_SECONDS = 1.0  # between two checks of whether the command is still there


def execute(tasks: Sequence[Task], options: Mapping[str, Any]) -> None:
    """Makes `n_jobs` runs at a time; with `n_jobs=null` as many as there are leases for.

    When one of joblib's processes is killed, joblib ends all the others. The runs that were in progress are
    lost; those that had not started are made by new processes.
    """
    from joblib import Parallel, delayed

    remaining = list(tasks)
    while remaining:
        jobs = options["n_jobs"] or max_concurrent(remaining)
        try:
            Parallel(n_jobs=jobs, backend="loky", batch_size=1, pre_dispatch=jobs)(
                delayed(_make)(task, os.getpid()) for task in remaining
            )
            return
        except BrokenProcessPool:
            started = {run.number for run in StatusFiles(str(remaining[0].directory)).read()}
            not_started = [task for task in remaining if task.number not in started]
            if len(not_started) == len(remaining):  # joblib cannot start any run
                return
            remaining = not_started


def max_concurrent(tasks: Sequence[Task]) -> int:
    """How many of these runs can hold their cores, or a GPU, at the same time."""
    counts = [1]
    for task in tasks:
        try:
            threads, gpus = threads_and_gpus(task.config)
        except Unavailable:
            continue
        counts.append(min(core_count() // threads, len(gpus)) if gpus else core_count() // threads)
    return min(max(counts), len(tasks))


def _make(task: Task, command_pid: int) -> None:
    make_streams_tolerant()
    if command_pid != os.getpid():
        _exit_with_parent(command_pid)
    make(task)


@cache
def _exit_with_parent(command_pid: int) -> None:
    """Ends this process, and with it the run that it makes, as soon as the command has ended: joblib would
    leave it waiting for more work."""

    def watch_parent() -> None:
        while os.getppid() == command_pid:
            sleep(POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch_parent, daemon=True).start()
