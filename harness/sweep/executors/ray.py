"""Over a Ray cluster of one node or many."""

import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from harness.config.schema import Config
from harness.errors import Unavailable
from harness.measure.devices import gpus
from harness.measure.machine import cores
from harness.sweep.run_one import make
from harness.sweep.task import Task

OBJECTS_BYTES = 80 * 2**20  # about the least that Ray takes: nothing of a run goes through it
GRACE_SECONDS = 20.0  # for runs to end and to be stored after Ctrl-C

# Ray counts GPUs, and a run's own lease picks one: it must see all of them
UNSEEN = {
    "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def spread(tasks: Sequence[Task], options: Mapping[str, Any]) -> None:
    """On the cluster at `address`, or on one of this machine's own that ends with the sweep.

    A run takes its `threads` of a node's CPUs, and a GPU if its device is one. Ray never makes a run a
    second time on its own: what is lost is told as such, and the same command makes it again.
    """
    try:
        import ray
    except ImportError as error:
        raise Unavailable('ray is not installed: pip install -c constraints.txt ".[ray]"') from error

    address = options["address"]
    here: dict[str, Any] = {
        "num_cpus": len(cores()),
        "num_gpus": len(gpus()),
        "include_dashboard": False,
        "object_store_memory": OBJECTS_BYTES,
    }
    ours = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="error",
            configure_logging=False,
            runtime_env={"env_vars": UNSEEN},
            **({} if address else here),
        )
    except ConnectionError as error:
        raise Unavailable(
            f"hydra.launcher.address={address}: no Ray cluster can be reached there ({error}); one that asks "
            "for a token also needs RAY_AUTH_MODE=token in the environment"
        ) from error
    signal.signal(signal.SIGTERM, ours)  # Ray has put one of its own in its place
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        remote = ray.remote(max_calls=1, max_retries=0)(_make)
        going = [
            remote.options(**share(Config.from_mapping(task.config), nodes), name=str(task.number)).remote(
                task
            )
            for task in tasks
        ]
        try:
            _wait(ray, going)
        except KeyboardInterrupt:
            for run in going:
                ray.cancel(run)
            _wait(ray, going, GRACE_SECONDS)
            raise
    finally:
        ray.shutdown()


def _wait(ray: Any, going: Iterable[Any], timeout: float | None = None) -> None:
    """Until all are over, whatever came of them, or for so many seconds."""
    left = list(going)
    while left:
        done, left = ray.wait(left, num_returns=1, timeout=timeout)
        if not done:
            return
        for run in done:
            with suppress(ray.exceptions.RayError, KeyboardInterrupt):
                ray.get(run)


def share(config: Config, nodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What a run takes of a node. With `threads=null` it is all CPUs of the smallest."""
    smallest = min(node.get("CPU", 0.0) for node in nodes)
    wants_gpu = config.device.startswith("cuda") or (
        config.device == "auto" and config.backend.name != "numpy" and any(node.get("GPU") for node in nodes)
    )
    return {"num_cpus": config.threads or smallest, "num_gpus": 1 if wants_gpu else 0}


def _make(task: Task) -> None:
    """Ray asks a run to stop without waking its process from what it waits for: it looks up every second."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    try:
        make(task)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
