"""Runs on a SLURM cluster, or in processes of this machine in the same way, with submitit."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.config.schema import Config
from harness.errors import Unavailable
from harness.measure.clock import seconds, sleep
from harness.measure.devices import gpus
from harness.measure.directories import expand_user
from harness.sweep import extras
from harness.sweep.run_one import make
from harness.sweep.task import Task
from harness.text import make_streams_tolerant

POLL_SECONDS = 1.0
GRACE_SECONDS = 30.0  # for runs to end and to be stored after Ctrl-C
OVERHEAD_MINUTES = 10  # of a job besides its run: starting, waiting for its cores, storing


@dataclass(frozen=True)
class Resources:
    """What a run's job requests; `cpus=None` leaves their number to the cluster."""

    cpus: int | None
    gpu: bool
    minutes: int


def execute(tasks: Sequence[Task], options: Mapping[str, Any]) -> None:
    """Submits one job per run to `cluster` (slurm or local), in order; jobs with the same resources that
    follow one another form one array.

    A job requests its run's `threads` as CPUs, a GPU if its device is one, and a time limit: ten minutes more
    than `run.timeout_seconds`, or else `timeout_min`. All other options are submitit's for that cluster.
    """
    submitit = extras.require("submitit")
    options = dict(options)
    cluster, folder, default_minutes = (options.pop(key) for key in ("cluster", "folder", "timeout_min"))
    if cluster == "slurm" and submitit.SlurmExecutor.affinity() <= 0:
        raise Unavailable("hydra/launcher=submitit_slurm: there is no srun here; is this a SLURM cluster?")
    jobs = []
    for needed, array in groupby(tasks, lambda task: resources(task.config, default_minutes)):
        executor = submitit.AutoExecutor(
            folder=expand_user(folder, "hydra.launcher.folder").absolute(), cluster=cluster
        )
        parameters: dict[str, Any] = {
            "cpus_per_task": needed.cpus,
            "timeout_min": needed.minutes,
            "name": "harness",
        }
        if needed.gpu and cluster == "slurm":
            parameters["slurm_gres"] = "gpu:1"
        elif needed.gpu:
            parameters["gpus_per_node"] = len(gpus())
        parameters |= {f"{cluster}_{key}": value for key, value in options.items() if value is not None}
        executor.update_parameters(**parameters)
        with _stderr_closed() if cluster == "local" else nullcontext():
            jobs += executor.map_array(_make, list(array))
    try:
        _wait(jobs)
    except KeyboardInterrupt:
        for job in jobs:
            job.cancel(check=False)
        _wait(jobs, GRACE_SECONDS)
        raise


def resources(config: Config, default_minutes: int) -> Resources:
    """What a run's job requests; `default_minutes` is its time limit if the run has none of its own."""
    limit = config.run.timeout_seconds
    minutes = default_minutes if limit is None else math.ceil(limit / 60) + OVERHEAD_MINUTES
    return Resources(config.threads, config.device.startswith("cuda"), minutes)


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Processes started in this context write their standard error nowhere: submitit's local jobs print a
    traceback on Ctrl-C."""
    stderr = os.dup(2)
    with Path(os.devnull).open("w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _wait(jobs: Sequence[Any], timeout: float = math.inf) -> None:
    """Waits until all jobs have ended, however they did, or until `timeout` seconds have passed."""
    deadline = seconds() + timeout
    while not all(job.done() for job in jobs) and seconds() < deadline:
        sleep(POLL_SECONDS)


def _make(task: Task) -> None:
    make_streams_tolerant()
    make(task)
