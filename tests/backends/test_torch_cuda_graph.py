"""Training steps as CUDA graphs: without a GPU the step that would be captured, with one the graph itself."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.backends.base import Setup
from harness.backends.torch import backend, cuda_graph
from harness.backends.torch import session as torch_session
from harness.backends.torch.session import TorchSession
from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import Case, optimizers

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


def eager(monkeypatch: pytest.MonkeyPatch, *arguments: object, **setup: object) -> list[np.ndarray]:
    with monkeypatch.context() as patched:
        patched.setattr(cuda_graph, "available", lambda device, dtype: False)
        return trained(opened(*arguments, **setup))  # type: ignore[arg-type]


@pytest.fixture
def uncaptured(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU: all but the capture itself, with the tables filled three times for every twenty steps."""

    def warmed_up(step: Callable[[], None], changed: Sequence[torch.Tensor]) -> Callable[[], None]:
        with cuda_graph.restored(changed):
            for _ in range(cuda_graph.WARM_UP):
                step()
        return step

    monkeypatch.setattr(cuda_graph, "available", lambda device, dtype: True)
    monkeypatch.setattr(cuda_graph, "captured", warmed_up)
    monkeypatch.setattr(cuda_graph, "TABLE_ROWS", 4)
    monkeypatch.setattr(torch_session, "pinned", lambda array, dtype: torch.tensor(array, dtype=dtype))
    module = sys.modules[torch.optim.RMSprop.__module__]
    monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda: ["cpu"])


@pytest.mark.usefixtures("uncaptured")
@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda spec: spec.name)
@pytest.mark.parametrize(
    ("implementation", "model", "truncate"),
    [
        ("fused", MODEL, None),
        ("loop", replace(MODEL, dropout=0.3), None),
        ("fused", replace(MODEL, initial_state="learned", steps=8), 4),
    ],
    ids=["fused", "dropout", "chunks"],
)
def test_the_captured_step_is_the_eager_step(
    monkeypatch: pytest.MonkeyPatch,
    optimizer: OptimizerSpec,
    implementation: str,
    model: ModelSpec,
    truncate: int | None,
) -> None:
    session = opened(model, optimizer, implementation, truncate=truncate)
    assert session.kernel.endswith(", CUDA graph")
    found = trained(session)
    expected = eager(monkeypatch, model, optimizer, implementation, truncate=truncate)
    rtol = 1e-4 if optimizer.name == "rmsprop" else 0  # it divides by the root and by the rate in one
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol and 1e-6)


@pytest.mark.usefixtures("uncaptured")
def test_another_training_split_is_another_graph() -> None:
    session, other = (opened(MODEL, OptimizerSpec(), "fused") for _ in range(2))
    batches, rates = np.arange(12).reshape(1, 12), np.array([0.01])
    session.train(batches, rates)
    x, y = np.ones((12, MODEL.steps, MODEL.features), np.float32), np.zeros(12, np.int64)
    for each in (session, other):
        each.put_weights(draw(MODEL, 3, "keras"))
        each.load("train", x, y)
    np.testing.assert_array_equal(session.train(batches, rates), other.train(batches, rates))


def test_steps_are_captured_on_cuda_in_float32_alone() -> None:
    assert cuda_graph.available(torch.device("cuda"), torch.float32)
    assert not cuda_graph.available(torch.device("cuda"), torch.float64)
    assert not cuda_graph.available(torch.device("cpu"), torch.float32)
    assert "graph" not in opened(MODEL, OptimizerSpec(), "fused").kernel


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda spec: spec.name)
@pytest.mark.parametrize("implementation", ["fused", "loop", "compiled"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_graph_trains_as_its_steps_do(
    monkeypatch: pytest.MonkeyPatch, implementation: str, optimizer: OptimizerSpec, dropout: float
) -> None:
    model = replace(MODEL, dropout=dropout)
    session = opened(model, optimizer, implementation, device="cuda")
    assert session.kernel.endswith(", CUDA graph")
    found = trained(session)
    expected = eager(monkeypatch, model, optimizer, implementation, device="cuda")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    session.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_a_graph_in_less_than_float32(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    found = trained(opened(MODEL, OptimizerSpec(), "fused", device="cuda", precision=precision))
    expected = eager(monkeypatch, MODEL, OptimizerSpec(), "fused", device="cuda")
    assert found[0] != expected[0]
    # kernels round differently at eight or eleven bits, and the updates in between carry it on
    np.testing.assert_allclose(found[0], expected[0], rtol=0.05)
