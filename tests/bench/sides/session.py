"""A session of the harness: what a run trains through."""

import numpy as np

from harness.backends.base import Setup
from harness.model.initializers import draw
from harness.model.optimizer import OptimizerSpec
from harness.runner.context import open_session
from tests.bench.task import RATE, Side, Task


def open_side(
    task: Task,
    *,
    backend: str,
    implementation: str = "auto",
    engine: str | None = None,
    precision: str = "float32",
) -> Side:
    setup = Setup(
        task.model,
        OptimizerSpec("adam"),
        implementation,
        engine,
        device=task.device,
        threads=task.threads,
        precision=precision,
    )
    session = open_session(backend, setup)
    session.put_weights(draw(task.model, seed=0, scheme="keras"))
    session.load("train", *task.data())
    rng = np.random.default_rng(1)

    def window(updates: int) -> None:
        session.train(task.batches(updates, rng), np.full(updates, RATE))
        session.synchronize()

    window(1)  # a kernel is known when it has run
    facts = {"implementation": session.implementation, "kernel": session.kernel}
    return Side(window, task.flops, facts=facts)
