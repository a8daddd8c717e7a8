"""Over a SLURM cluster, or over processes of this machine in the same way, by submitit."""

import math
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from harness.config.schema import Config
from harness.errors import Unavailable
from harness.measure.devices import gpus
from harness.sweep.run_one import make
from harness.sweep.task import Task

PAUSE_SECONDS = 1.0
GRACE_SECONDS = 30.0  # for runs to end and to be stored after Ctrl-C
BESIDE_MINUTES = 10  # what a job takes beside its run: starting, waiting for its cores, storing

Share = tuple[int | None, bool, int]  # CPUs, whether a GPU, minutes


def spread(tasks: Sequence[Task], options: Mapping[str, Any]) -> None:
    """On `cluster` (slurm or local), one job per run; jobs that ask for the same are one array.

    A job asks for its run's `threads` as CPUs, for a GPU if its device is one, and for `run.timeout_seconds`
    and ten minutes, or else `timeout_min`. Other options are submitit's for that cluster.
    """
    try:
        import submitit
    except ImportError as error:
        raise Unavailable('submitit is not installed: pip install -c constraints.txt ".[slurm]"') from error

    options = dict(options)
    cluster, folder, minutes = (options.pop(key) for key in ("cluster", "folder", "timeout_min"))
    if cluster == "slurm" and submitit.SlurmExecutor.affinity() <= 0:
        raise Unavailable("hydra/launcher=submitit_slurm: there is no srun here; is this a SLURM cluster?")
    arrays: dict[Share, list[Task]] = defaultdict(list)
    for task in tasks:
        arrays[share(Config.from_mapping(task.config), minutes)].append(task)
    jobs = []
    for (cpus, gpu, most), some in arrays.items():
        executor = submitit.AutoExecutor(folder=Path(folder).absolute(), cluster=cluster)
        asked: dict[str, Any] = {"cpus_per_task": cpus, "timeout_min": most, "name": "harness"}
        if gpu and cluster == "slurm":
            asked["slurm_gres"] = "gpu:1"
        elif gpu:
            asked["gpus_per_node"] = len(gpus())
        asked |= {f"{cluster}_{key}": value for key, value in options.items() if value is not None}
        executor.update_parameters(**asked)
        with _silent() if cluster == "local" else nullcontext():
            jobs += executor.map_array(_make, some)
    try:
        _wait(jobs)
    except KeyboardInterrupt:
        for job in jobs:
            job.cancel(check=False)
        _wait(jobs, GRACE_SECONDS)
        raise


def share(config: Config, minutes: int) -> Share:
    """What a run's job asks for."""
    limit = config.run.timeout_seconds
    most = minutes if limit is None else math.ceil(limit / 60) + BESIDE_MINUTES
    return config.threads, config.device.startswith("cuda"), most


@contextmanager
def _silent() -> Iterator[None]:
    """What is started meanwhile has no standard error: submitit's local jobs end in a traceback on Ctrl-C."""
    ours = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


def _wait(jobs: Sequence[Any], timeout: float = math.inf) -> None:
    """Until all jobs are over, however they ended, or for so many seconds."""
    deadline = time.monotonic() + timeout
    while not all(job.done() for job in jobs) and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)


def _make(task: Task) -> None:
    make(task)
