"""What sessions that work by CUDA graphs compute, to be compared with what they compute without."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from harness.backends.base import Setup
from harness.backends.torch import backend, cuda_graph
from harness.backends.torch.session import TorchSession
from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import Case

MODEL = replace(Case("lstm").model, layers=2, features=6, hidden=32)
STEPS = 20


def opened(model: ModelSpec, optimizer: OptimizerSpec, implementation: str, **setup: object) -> TorchSession:
    chosen = Setup(model=model, optimizer=optimizer, implementation=implementation)
    found = backend.open_session(replace(chosen, **setup))
    assert isinstance(found, TorchSession)
    rng = np.random.default_rng(0)
    found.put_weights(draw(model, 3, "keras"))
    x = rng.normal(size=(48, model.steps, model.features)).astype(np.float32)
    found.load("train", x, rng.integers(0, model.classes, 48))
    return found


@contextmanager
def eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside it no device has graphs."""
    with monkeypatch.context() as patched:
        patched.setattr(cuda_graph, "supported", lambda device: False)
        yield


def trained(session: TorchSession) -> list[np.ndarray]:
    """Losses and weights of two runs from the same weights, over windows of 1, 9 and 10 steps with another
    batch size in between, at rates that change and that float32 holds exactly."""
    rng = np.random.default_rng(1)
    batches = rng.integers(0, 48, (STEPS, 12))
    rates = np.linspace(0.01, 0.002, STEPS).astype(np.float32).astype(np.float64)
    start = session.weights()
    found = []
    for _ in range(2):
        session.put_weights(start)
        for first, last in ((0, 1), (1, 10), (10, STEPS)):
            found.append(session.train(batches[first:last], rates[first:last]))
            found.append(session.train(batches[first : first + 1, :5], rates[first : first + 1]))
        found += session.weights().values()
    return found


def streamed(session: TorchSession) -> list[np.ndarray]:
    """Predictions, features, and the outputs and states of two streams in turns, with updates in between."""
    ranges = [(0, 1), (1, 2), (2, 9), (9, 16), (16, 48)]
    x = np.random.default_rng(2).normal(size=(5, 4, session._spec.features)).astype(np.float32)
    found = [session.predict("train", ranges), session.features("train", ranges)]
    for _ in range(2):
        session.train(np.arange(24).reshape(2, 12), np.full(2, 2**-7))  # a rate that float32 holds exactly
        session.reset()
        for step in range(4):
            outputs = session.advance(x[:, step : step + 1])
            found += [outputs.sequence, outputs.last, outputs.logits, *outputs.states.values()]
            found.append(session.predict("train", ranges))
        carried = session.states()
        session.reset()
        session.advance(x[:1])  # another batch size, all steps at once
        session.reset()
        session.put_states(carried)
        found += [session.advance(x[:, :1]).logits, *session.states().values()]
    return found
