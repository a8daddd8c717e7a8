"""CUDA graphs on a machine without CUDA: what they would do is what a session does without them."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from harness.backends.base import Setup, Weights
from harness.backends.torch import cuda_graph, device, graphed
from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec
from tests.support.cuda_graphs import Uncaptured, uncapture
from tests.support.graph_sessions import MODEL, eager, opened, streamed, trained
from tests.support.parity import optimizers


@pytest.fixture(autouse=True)
def uncaptured(monkeypatch: pytest.MonkeyPatch) -> None:
    uncapture(monkeypatch)


# Training


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
def test_the_captured_steps_are_the_eager_steps(
    monkeypatch: pytest.MonkeyPatch,
    optimizer: OptimizerSpec,
    implementation: str,
    model: ModelSpec,
    truncate: int | None,
) -> None:
    session = opened(model, optimizer, implementation, truncate=truncate)
    assert session.kernel.endswith(", CUDA graph")
    found = trained(session)
    with eager(monkeypatch):
        expected = trained(opened(model, optimizer, implementation, truncate=truncate))
    rtol = 1e-4 if optimizer.name == "rmsprop" else 0  # it divides by the root and by the rate in one
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol and 1e-6)


def test_nine_steps_are_three_launches() -> None:
    session = opened(MODEL, OptimizerSpec(), "fused")
    assert session.steps_per_launch == 4
    session.train(np.zeros((9, 12), np.int64), np.full(9, 0.01))
    assert (Uncaptured.captures, Uncaptured.replays) == (2, 2 + 1)
    session.train(np.zeros((3, 12), np.int64), np.full(3, 0.01))
    assert (Uncaptured.captures, Uncaptured.replays) == (2, 2 + 1 + 3)


@pytest.mark.parametrize(("time_steps", "steps"), [(1, 8), (28, 8), (200, 5), (784, 1), (5000, 1)])
def test_long_sequences_have_fewer_steps_in_a_graph(
    monkeypatch: pytest.MonkeyPatch, time_steps: int, steps: int
) -> None:
    monkeypatch.setattr(cuda_graph, "GROUP", 8)
    assert cuda_graph.steps_per_graph(time_steps) == steps


def test_a_long_sequence_has_one_graph_for_one_step() -> None:
    session = opened(replace(MODEL, steps=784, hidden=2, layers=1), OptimizerSpec(), "fused")
    session.train(np.zeros((3, 2), np.int64), np.full(3, 0.01))
    assert (session.steps_per_launch, Uncaptured.captures, Uncaptured.replays) == (1, 1, 3)


def test_another_training_split_is_another_graph() -> None:
    session, other = (opened(MODEL, OptimizerSpec(), "fused") for _ in range(2))
    batches, rates = np.arange(12).reshape(1, 12), np.array([0.01])
    session.train(batches, rates)
    x, y = np.ones((12, MODEL.steps, MODEL.features), np.float32), np.zeros(12, np.int64)
    for each in (session, other):
        each.put_weights(draw(MODEL, 3, "keras"))
        each.load("train", x, y)
    np.testing.assert_array_equal(session.train(batches, rates), other.train(batches, rates))


# Predictions


@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("implementation", ["fused", "loop"])
def test_predictions_and_streams_are_the_eager_ones(
    monkeypatch: pytest.MonkeyPatch, implementation: str, readout: str
) -> None:
    model = replace(MODEL, readout=readout, initial_state="learned")
    found = streamed(opened(model, OptimizerSpec(), implementation))
    assert Uncaptured.replays > 0
    with eager(monkeypatch):
        expected = streamed(opened(model, OptimizerSpec(), implementation))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_batch_size_is_captured_once() -> None:
    session = opened(MODEL, OptimizerSpec(), "fused")
    for _ in range(2):
        session.predict("train", [(0, 10), (10, 20), (20, 23)])
        session.features("train", [(5, 15)])
        session.predict("train", [(7, 8)])
    assert (Uncaptured.captures, Uncaptured.replays) == (3, 10)


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_a_captured_prediction_keeps_logits_and_features_alone(readout: str) -> None:
    session = opened(replace(MODEL, readout=readout), OptimizerSpec(), "fused")
    session.predict("train", [(0, 10)])
    (forward,) = session._forward_of.values()
    leaves = [leaf.untyped_storage() for leaf in tree_leaves(forward.outputs) if leaf is not None]
    kept = {storage.data_ptr(): storage.nbytes() for storage in leaves}
    assert sum(kept.values()) == 10 * (MODEL.hidden + MODEL.classes) * 4


def test_graphs_are_let_go_of() -> None:
    session = opened(MODEL, OptimizerSpec(), "fused")
    session.predict("train", [(0, 10)])
    forward = weakref.ref(next(iter(session._forward_of.values())))
    session.close()
    gc.collect()
    assert forward() is None


# The capture


class Cuda:
    """What of `torch.cuda` a capture calls, and what it saw."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.stream = SimpleNamespace(wait_stream=lambda other: self.events.append("capturing waits"))
        current = SimpleNamespace(wait_stream=lambda other: self.events.append("current waits"))
        for name, value in {
            "Stream": lambda device: self.stream,
            "current_stream": lambda device: current,
            "stream": self.on,
            "graph_pool_handle": lambda: "pool",
            "CUDAGraph": lambda: SimpleNamespace(replay=lambda: self.events.append("replay")),
            "graph": self.capturing,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    @contextmanager
    def on(self, stream: object) -> Iterator[None]:
        assert stream is self.stream
        self.events.append("on the stream")
        yield

    @contextmanager
    def capturing(self, graph: object, *, pool: str, stream: object) -> Iterator[None]:
        assert (pool, stream) == ("pool", self.stream)
        self.events.append("capture")
        yield
        self.events.append("captured")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    monkeypatch.undo()
    return Cuda(monkeypatch)


def test_garbage_is_collected_before_the_capture_begins(cuda: Cuda) -> None:
    class Node:
        """Holds itself, as a node of autograd in a cycle does."""

    dead = Node()
    dead.itself = dead  # type: ignore[attr-defined]
    reference = weakref.ref(dead)
    del dead
    found: list[bool] = []

    def work() -> None:
        cuda.events.append("work")
        if "capture" in cuda.events:
            found.append(reference() is None)

    gc.disable()
    try:
        replay = cuda_graph.Capture(torch.device("cpu"))(work)
    finally:
        gc.enable()
    assert found == [True]
    warm_up = ["capturing waits", "on the stream", *cuda_graph.WARM_UP * ["work"]]
    assert cuda.events == [*warm_up, "capture", "work", "captured", "current waits"]
    replay()
    assert cuda.events[-1] == "replay"


def test_a_capture_leaves_no_trace(cuda: Cuda) -> None:
    changed = torch.ones(3)
    before = torch.random.get_rng_state()

    def work() -> None:
        changed.add_(torch.rand(3))

    cuda_graph.Capture(torch.device("cpu"))(work, [changed])
    assert changed.tolist() == [1.0, 1.0, 1.0]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_graphs_are_for_cuda_and_weights_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert not graphed.available(setup("cpu", "float32"))
    assert "graph" not in opened(MODEL, OptimizerSpec(), "fused").kernel
    monkeypatch.setattr(device, "devices", lambda: {"cpu": "a processor", "cuda:0": "a GPU"})
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda name: (9, 0))
    assert [
        graphed.available(setup("auto", name)) for name in ("float32", "tf32", "bfloat16", "float64")
    ] == [True, True, True, False]


def setup(device: str, precision: str) -> Setup:
    return Setup(MODEL, OptimizerSpec(), device=device, precision=precision)


def test_weights_that_are_put_are_those_that_graphs_read() -> None:
    session = opened(MODEL, OptimizerSpec(), "fused")
    before = session.predict("train", [(0, 10)])
    weights: Weights = {name: 2 * w for name, w in session.weights().items()}
    session.put_weights(weights)
    after = session.predict("train", [(0, 10)])
    assert not np.allclose(after, before)
    np.testing.assert_array_equal(session.predict("train", [(0, 10)]), after)
