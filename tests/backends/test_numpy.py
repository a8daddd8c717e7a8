"""The reference itself: its gradients against central differences, its optimisers."""

from dataclasses import replace

import numpy as np
import pytest

from harness.backends.base import Setup
from harness.backends.numpy.backend import open_session as open_numpy
from harness.errors import Unavailable
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import CASES, RATE, STEPS, Case, compare, open_session, optimizers, worst


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> float:
    """The mean over logits (B, C) of classes y (B,)."""
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_those_of_central_differences(case: Case) -> None:
    session = open_session("numpy", case, "loop", OptimizerSpec("sgd"))
    x, y = case.data()
    weights, found = case.weights(), session.gradients(x, y).gradients
    step = 1e-5

    def forward() -> float:
        return cross_entropy(session.outputs(x).logits, y)

    def whole() -> float:
        return session.gradients(x, y).loss

    loss = forward if np.isclose(forward(), whole(), rtol=1e-12) else whole  # some cells add a loss of theirs
    trained = {name for name, (param, _) in case.model.params().items() if param.trained}
    for name, w in weights.items():
        if name not in trained:
            assert not found[name].any(), name
            continue
        numeric = np.empty_like(w)
        for index in np.ndindex(w.shape):
            losses = []
            for sign in (+1, -1):
                moved = w.copy()
                moved[index] += sign * step
                session.put_weights({**weights, name: moved})
                losses.append(loss())
            numeric[index] = (losses[0] - losses[1]) / (2 * step)
        if not numeric.any():  # the delay line's start, from which the last output is too far away
            assert not found[name].any(), name
            continue
        error = np.max(np.abs(found[name] - numeric)) / np.max(np.abs(numeric))
        assert error < 1e-6, f"{name}: {error:.1e}"


@pytest.mark.parametrize("spec", optimizers(clip_norm=None) + optimizers(clip_norm=0.05), ids=str)
def test_optimisers_are_their_equations(spec: OptimizerSpec) -> None:
    """Written once more, plainly, over canonical weights."""
    session = open_session("numpy", Case("rnn"), "loop", spec)
    probe = open_session("numpy", Case("rnn"), "loop", spec)
    x, y = Case("rnn").data()
    batches = np.random.default_rng(13).integers(0, 24, (STEPS, 6))
    rates = RATE * np.linspace(1.0, 0.2, STEPS)
    session.train(batches, rates)
    w = Case("rnn").weights()
    m = {name: np.zeros_like(a) for name, a in w.items()}
    v = {name: np.zeros_like(a) for name, a in w.items()}
    for t, (batch, rate) in enumerate(zip(batches, rates, strict=True), start=1):
        probe.put_weights(w)
        gradients = probe.gradients(x[batch], y[batch]).gradients
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        scale = 1.0 if spec.clip_norm is None else min(1.0, spec.clip_norm / norm)
        for name, raw in gradients.items():
            g = raw * scale
            if spec.name == "sgd":
                w[name] = w[name] - rate * g
            elif spec.name == "momentum":
                v[name] = spec.momentum * v[name] + g
                w[name] = w[name] - rate * v[name]
            elif spec.name == "adam":
                m[name] = spec.beta1 * m[name] + (1 - spec.beta1) * g
                v[name] = spec.beta2 * v[name] + (1 - spec.beta2) * g**2
                corrected = m[name] / (1 - spec.beta1**t), v[name] / (1 - spec.beta2**t)
                w[name] = w[name] - rate * corrected[0] / (np.sqrt(corrected[1]) + spec.epsilon)
            else:
                v[name] = spec.rho * v[name] + (1 - spec.rho) * g**2
                w[name] = w[name] - rate * g / (np.sqrt(v[name]) + spec.epsilon)
    assert worst(session.weights(), w)[0] < 1e-12


def test_prediction_does_not_depend_on_the_batch_size() -> None:
    session = open_session("numpy", Case("lstm", bidirectional=True), "loop", OptimizerSpec(), 2)
    x, _ = Case("lstm").data()
    whole = session.outputs(x).logits
    for size in (1, 5, 24):
        ranges = [(start, min(start + size, 24)) for start in range(0, 24, size)]
        np.testing.assert_allclose(session.predict("train", ranges), whole, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"implementation": "fused"}, "numpy has no fused lstm; it has: loop"),
        ({"device": "cuda"}, "available: cpu"),
    ],
)
def test_what_numpy_does_not_have(change: dict[str, str], said: str) -> None:
    setup = replace(Setup(model=Case("lstm").model, optimizer=OptimizerSpec()), **change)
    with pytest.raises(Unavailable, match=said):
        open_numpy(setup)


def mutated(module: str, constants: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> float:
    """Distance from stock torch when constants of a reference cell are changed."""
    for name, value in constants.items():
        monkeypatch.setattr(f"harness.backends.numpy.cells.{module}.{name}", value)
    case = Case(module)
    changed = open_session("numpy", case, "loop", OptimizerSpec())
    stock = open_session("torch", case, "fused", OptimizerSpec())
    return max(compare(changed, stock, case).values())


def test_the_gates_of_the_reference_are_those_of_stock_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    for order, low, high in ((("g", "o", "i", "f"), 0, 1e-9), (("g", "o", "f", "i"), 1e-3, np.inf)):
        assert low < mutated("lstm", {"X_GATES": order, "H_GATES": order}, monkeypatch) < high
    swapped = {"X_GATES": ("n", "z", "r"), "H_GATES": ("z", "r", "n")}
    assert mutated("gru", swapped, monkeypatch) > 1e-3
