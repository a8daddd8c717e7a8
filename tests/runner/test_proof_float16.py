"""The proof of a session that scales its losses: no update that is skipped hides what is wrong with it.

float16 is computed on the CPU here, one step at a time and several in one graph.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from harness.backends.torch import device, loss_scaling
from harness.backends.torch.loss_scaling import LossScale, ScaledOptimizer
from harness.backends.torch.optimizer import Optimizer
from harness.errors import ParityFailed
from harness.runner import proof
from tests.support.cuda_graphs import uncapture
from tests.support.prepared_runs import prepared_run

SMALL = (
    "backend=torch",
    "precision=float16",
    "data=digits",
    "cell.hidden=8",
    "train.batch_size=16",
    "threads=1",
)
HARD = ("train.truncate=4", "model.layers=2", "model.dropout=0.2", "train.clip_norm=0.01")
UNSCALE, ADAPT, UPDATE = LossScale.unscale, LossScale.adapt, ScaledOptimizer.update


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions work by graphs."""
    uncapture(monkeypatch)


@pytest.fixture
def proved(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Proves a session as a run does; its record's details."""
    monkeypatch.setattr(device, "precisions", lambda name: ("float32", "float16"))

    def prove(*overrides: str) -> dict[str, Any]:
        context, found = prepared_run(*SMALL, *overrides)
        proof.restart(context)
        state = context.session.optimizer_state()
        assert state["loss_scale.scale"] == loss_scaling.INITIAL
        assert not any(array.any() for name, array in state.items() if name != "loss_scale.scale")
        for name, weight in context.session.weights().items():
            np.testing.assert_array_equal(weight, context.initial_weights[name])
        context.session.close()
        return found

    return prove


@pytest.mark.parametrize("initial", [2.0**16, 2.0**30])
@pytest.mark.parametrize(
    "overrides",
    [(), HARD, ("train.optimizer=rmsprop", "train.schedule=cosine"), ("train.optimizer=sgd",)],
    ids=["plain", "hard", "rmsprop", "sgd"],
)
def test_a_right_session_passes(
    monkeypatch: pytest.MonkeyPatch, proved: Callable[..., dict], overrides: tuple[str, ...], initial: float
) -> None:
    """From a scale at which updates are skipped, too."""
    monkeypatch.setattr(loss_scaling, "INITIAL", initial)
    assert 1e-6 < max(proved(*overrides)["parity_update"]["weights"].values()) < 0.2


@pytest.mark.usefixtures("graphs")
@pytest.mark.parametrize("overrides", [(), HARD], ids=["plain", "hard"])
def test_graphs_that_are_right_pass(
    monkeypatch: pytest.MonkeyPatch, proved: Callable[..., dict], overrides: tuple[str, ...]
) -> None:
    monkeypatch.setattr(loss_scaling, "INITIAL", 2.0**30)
    program = proved(*overrides)["parity_program"]
    assert program["at_once"] == 4
    assert max(*program["weights"].values(), *program["slots"].values()) < 1e-6


def never_noticed(self: LossScale, gradients: Any) -> None:
    UNSCALE(self, gradients)
    self.found.zero_()


def always_noticed(self: LossScale, gradients: Any) -> None:
    UNSCALE(self, gradients)
    self.found.fill_(1)


def never_unscaled(self: LossScale, gradients: Any) -> None:
    copies = [gradient.clone() for gradient in gradients]
    UNSCALE(self, copies)


def counted_as_made(self: LossScale) -> None:
    ADAPT(self)
    self.updates += self.found.long()


def not_counted(self: LossScale) -> None:
    ADAPT(self)
    self.skipped_updates.zero_()


def stuck(self: LossScale) -> None:
    """No update is made, and no scale tried."""
    self.skipped_updates += 1


def weights_alone_restored(self: ScaledOptimizer) -> None:
    self.scale.unscale([tensor.grad for tensor in self.trained if tensor.grad is not None])
    before = [tensor.clone() for tensor in self.trained]
    Optimizer.update(self)
    for tensor, old in zip(self.trained, before, strict=True):
        tensor.data.copy_(torch.where(self.scale.found.bool(), old, tensor))
    self.scale.adapt()


def clipped_before(self: ScaledOptimizer) -> None:
    """Clips the scaled gradients."""
    found = [tensor.grad for tensor in self.trained if tensor.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(found)))
    torch._foreach_mul_(found, 20 / norm.clamp(min=20))
    UPDATE(self)


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "overrides", "reason"),
    [
        (LossScale, "unscale", never_noticed, (), "an update is made although its gradients are not finite"),
        (LossScale, "unscale", always_noticed, (), "updates are skipped at a loss scale of 1"),
        (LossScale, "unscale", never_unscaled, (), "3 batches of training are .* from the reference"),
        (LossScale, "adapt", counted_as_made, (), "of .* updates .* are made and .* skipped"),
        (LossScale, "adapt", not_counted, (), "of .* updates .* are made and .* skipped"),
        (LossScale, "adapt", stuck, (), "of 3 updates 0 are made|are skipped at a loss scale of 1"),
        (loss_scaling, "BACKOFF", 1.0, (), "make a loss scale of .* one of"),
        (ScaledOptimizer, "update", weights_alone_restored, ("train.optimizer=rmsprop",), "changes slot"),
        (ScaledOptimizer, "update", clipped_before, ("train.clip_norm=20",), "from the reference"),
    ],
    ids=lambda value: getattr(value, "__name__", value if isinstance(value, str) else None),
)
def test_a_wrong_session_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    proved: Callable[..., dict],
    owner: Any,
    name: str,
    wrong: Any,
    overrides: tuple[str, ...],
    reason: str,
) -> None:
    monkeypatch.setattr(owner, name, wrong)
    with pytest.raises(ParityFailed, match=reason):
        proved(*overrides)


@pytest.mark.usefixtures("graphs")
def test_a_graph_whose_capture_changes_the_scale_is_noticed(
    monkeypatch: pytest.MonkeyPatch, proved: Callable[..., dict]
) -> None:
    monkeypatch.setattr(ScaledOptimizer, "slots", Optimizer.slots)
    with pytest.raises(ParityFailed):
        proved()


def test_a_scale_that_is_never_halved_ends_the_search_for_one(
    monkeypatch: pytest.MonkeyPatch, proved: Callable[..., dict]
) -> None:
    monkeypatch.setattr(loss_scaling, "INITIAL", 2.0**30)
    monkeypatch.setattr(loss_scaling, "BACKOFF", 1.0)
    with pytest.raises(ParityFailed, match="skipped updates make a loss scale of"):
        proved()
