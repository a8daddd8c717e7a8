"""CUDA graphs on a GPU: what they compute is what their steps compute one by one."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from harness.backends.torch import cuda_graph
from harness.backends.torch.products import PER_GRAPH, MatrixProducts
from harness.backends.torch.session import TorchSession
from harness.measure.clock import timed
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec
from tests.support.graph_sessions import MODEL, eager, opened, streamed, trained
from tests.support.parity import Case, optimizers

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

CUDA = torch.device("cuda:0")
MODELS = {"scan": replace(Case("mingru").model, layers=2, features=6, hidden=32)}
# Implementation and optimiser in every pairing; what else a step may have takes turns, so that each of it
# meets every implementation: clipping, chunks of a sequence, dropout, steps in a graph
EXTRAS = [
    (None, None, 0.0, 8),
    (0.5, None, 0.3, 4),
    (0.5, 4, 0.0, 1),
    (None, 4, 0.3, 3),
]
STEPS = [
    pytest.param(implementation, optimizers(clip)[k], truncate, dropout, group, id=f"{implementation}-{k}")
    for shift, implementation in enumerate(("fused", "loop", "scan"))
    for k in range(4)
    for clip, truncate, dropout, group in [EXTRAS[(k + shift) % 4]]
]


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def on_cuda(
    model: ModelSpec, implementation: str, optimizer: OptimizerSpec | None = None, **setup: object
) -> TorchSession:
    return opened(model, optimizer or OptimizerSpec(), implementation, device="cuda", **setup)


@pytest.mark.parametrize(("implementation", "optimizer", "truncate", "dropout", "group"), STEPS)
def test_graphs_train_as_their_steps_do(
    monkeypatch: pytest.MonkeyPatch,
    implementation: str,
    optimizer: OptimizerSpec,
    truncate: int | None,
    dropout: float,
    group: int,
) -> None:
    monkeypatch.setattr(cuda_graph, "GROUP", group)
    model = replace(MODELS.get(implementation, MODEL), steps=8, dropout=dropout)
    session = on_cuda(model, implementation, optimizer, truncate=truncate)
    assert session.kernel.endswith(", CUDA graph")
    assert session.steps_per_launch == group
    found = trained(session)
    session.close()
    with eager(monkeypatch):
        assert_same(found, trained(on_cuda(model, implementation, optimizer, truncate=truncate)))


@pytest.mark.parametrize("optimizer", optimizers()[2:], ids=lambda spec: spec.name)
def test_graphs_of_compiled_steps(monkeypatch: pytest.MonkeyPatch, optimizer: OptimizerSpec) -> None:
    model = replace(MODEL, dropout=0.3)
    found = trained(on_cuda(model, "compiled", optimizer))
    with eager(monkeypatch):
        assert_same(found, trained(on_cuda(model, "compiled", optimizer)))


@pytest.mark.parametrize("implementation", ["fused", "loop", "scan"])
def test_predictions_and_streams_are_the_eager_ones(
    monkeypatch: pytest.MonkeyPatch, implementation: str
) -> None:
    model = replace(MODELS.get(implementation, MODEL), readout="mean", initial_state="learned")
    found = streamed(on_cuda(model, implementation))
    with eager(monkeypatch):
        assert_same(found, streamed(on_cuda(model, implementation)))


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_a_graph_in_less_than_float32(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """With 512 units, for which cuDNN has kernels of its own in tf32; at 32 it may take those of float32."""
    model = replace(MODEL, hidden=512, features=128)
    found = trained(on_cuda(model, "fused", precision=precision))
    exact = trained(on_cuda(model, "fused"))
    assert found[0] != exact[0]
    np.testing.assert_allclose(found[0], exact[0], rtol=0.05)
    with eager(monkeypatch):
        expected = trained(on_cuda(model, "fused", precision=precision))
    # kernels round differently at eight or eleven bits, and the updates in between carry it on
    np.testing.assert_allclose(found[0], expected[0], rtol=0.05)


def test_a_dead_node_of_another_stream_does_not_break_the_capture() -> None:
    session = on_cuda(MODEL, "fused")
    xs = torch.zeros(MODEL.steps, 2, MODEL.features, device=CUDA)
    loss, _ = session._model.loss(xs, torch.zeros(2, dtype=torch.int64, device=CUDA))
    cycle: list[object] = [loss]
    cycle.append(cycle)
    del loss, cycle
    losses = session.train(np.zeros((9, 12), np.int64), np.full(9, 0.01))
    assert np.isfinite(losses).all()


def test_graphs_of_a_session_share_their_memory() -> None:
    session = on_cuda(replace(MODEL, hidden=512), "loop")
    batches, rates = np.zeros((9, 48), np.int64), np.full(9, 0.01)
    session.train(batches, rates)
    first = torch.cuda.memory_reserved(CUDA)
    session.predict("train", [(0, 48)])
    session.train(batches[:, :40], rates)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved(CUDA) <= 1.2 * first


def test_graphs_that_were_let_go_of_can_be_captured_anew() -> None:
    session = on_cuda(MODEL, "fused")
    x, y = np.ones((48, MODEL.steps, MODEL.features), np.float32), np.zeros(48, np.int64)
    for _ in range(3):
        session.train(np.zeros((9, 12), np.int64), np.full(9, 0.01))
        session.predict("train", [(0, 48)])
        session.load("train", x, y)
    session.close()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_products_are_not_timed_by_their_launches(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    shape, repeats = (128, 128, 512), 40 * PER_GRAPH
    seconds = []
    for graphs in (nullcontext(), eager(monkeypatch)):
        products = MatrixProducts(CUDA, dtype)
        with graphs:
            for _ in range(3):  # the last one counts
                _, spent = timed(Waiting(), partial(products.run, *shape, repeats))
        seconds.append(spent)
        x, w, y, back = products.operands
        torch.testing.assert_close(y, x @ w.t())
        torch.testing.assert_close(back, y @ w)
    assert seconds[0] < seconds[1]


class Waiting:
    """What `timed` needs of a session."""

    def synchronize(self) -> None:
        torch.cuda.synchronize(CUDA)
