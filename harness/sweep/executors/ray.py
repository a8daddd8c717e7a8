"""Runs on a Ray cluster of one node or many."""

import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from harness.config import catalogue
from harness.config.schema import Config
from harness.errors import Unavailable
from harness.measure.devices import core_count, gpus
from harness.sweep import extras
from harness.sweep.run_one import make
from harness.sweep.task import Task
from harness.text import make_streams_tolerant

OBJECT_STORE_BYTES = 80 * 2**20  # about the least that Ray accepts: the harness stores nothing there
GRACE_SECONDS = 20.0  # for runs to end and to be stored after Ctrl-C

# Ray only counts GPUs and a run's own lease picks one of them, so that a run must see all of them
KEEP_GPUS_VISIBLE = {
    "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def execute(tasks: Sequence[Task], options: Mapping[str, Any]) -> None:
    """Makes the runs on the cluster at `address`, or on one of this machine's own that ends with the sweep.

    A run reserves its `threads` of a node's CPUs, and a GPU if its device is one. Ray never repeats a run on
    its own: a lost run is recorded as lost, and the same command makes it again.
    """
    ray = extras.require("ray")
    address = options["address"]
    own_cluster: dict[str, Any] = {
        "num_cpus": core_count(),
        "num_gpus": len(gpus()),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }
    sigterm_handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="error",
            configure_logging=False,
            runtime_env={"env_vars": KEEP_GPUS_VISIBLE},
            **({} if address else own_cluster),
        )
    except ConnectionError as error:
        raise Unavailable(
            f"hydra.launcher.address={address}: no Ray cluster can be reached there ({error}); if it needs "
            "a token, set RAY_AUTH_MODE=token in the environment"
        ) from error
    signal.signal(signal.SIGTERM, sigterm_handler)  # Ray has installed one of its own
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        remote_make = ray.remote(max_calls=1, max_retries=0)(_make)
        jobs = [
            remote_make.options(**resources(task.config, nodes), name=str(task.number)).remote(task)
            for task in tasks
        ]
        try:
            _wait(ray, jobs)
        except KeyboardInterrupt:
            for job in jobs:
                ray.cancel(job)
            _wait(ray, jobs, GRACE_SECONDS)
            raise
    finally:
        ray.shutdown()


def _wait(ray: Any, jobs: Iterable[Any], timeout: float | None = None) -> None:
    """Waits until all jobs have ended, however they did, or until none ends within `timeout` seconds."""
    remaining = list(jobs)
    while remaining:
        done, remaining = ray.wait(remaining, num_returns=1, timeout=timeout)
        if not done:
            return
        for job in done:
            with suppress(ray.exceptions.RayError, KeyboardInterrupt):
                ray.get(job)


def resources(config: Config, nodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What a run reserves of a node. With `threads=null` it is all CPUs of the smallest node."""
    smallest = min(node.get("CPU", 0.0) for node in nodes)
    can_use_gpu = "cuda" in catalogue.device_kinds(config.backend.name) and any(
        node.get("GPU") for node in nodes
    )
    wants_gpu = config.device.startswith("cuda") or (config.device == "auto" and can_use_gpu)
    return {"num_cpus": config.threads or smallest, "num_gpus": 1 if wants_gpu else 0}


def _make(task: Task) -> None:
    """Makes the run, and wakes this process once a second: Ray's request to stop does not interrupt a
    process that is waiting."""
    make_streams_tolerant()
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    try:
        make(task)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
