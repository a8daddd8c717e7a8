"""float16 with a scaled loss: the scaler's arithmetic, and sessions, which a CPU can compute too."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.backends.base import Setup
from harness.backends.optimizer_state import LOSS_SCALE
from harness.backends.torch import backend, device, loss_scaling
from harness.backends.torch.loss_scaling import INITIAL, ScaledOptimizer
from harness.backends.torch.optimizer import Optimizer
from harness.backends.torch.session import TorchSession
from harness.errors import Unavailable
from harness.model.optimizer import OptimizerSpec
from harness.runner.parity import gradients, training
from harness.runner.parity.distance import LIMITS
from tests.support.cuda_graphs import uncapture
from tests.support.parity import CELLS, Case, open_session, optimizers, worst
from tests.support.torch_sessions import ADAM, session

TOO_LARGE = 1e35  # of a gradient: finite, but not after any scale
GRADIENTS = [1.0, TOO_LARGE, -2.0, 0.5, 3.0, 1.0, TOO_LARGE, TOO_LARGE, 2.0]
EVERY_OPTIMIZER = pytest.mark.parametrize("spec", optimizers(), ids=lambda spec: spec.name)


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """float16 is offered on the CPU."""
    monkeypatch.setattr(device, "precisions", lambda name: ("float32", "float16"))


def weight() -> torch.Tensor:
    return torch.tensor([1.0, -2.0, 3.0], requires_grad=True)


def made(optimizer: Optimizer, gradients: Sequence[float]) -> None:
    """Updates by losses with these gradients, whatever the weight is."""
    (w,) = optimizer.trained
    for gradient in gradients:
        optimizer.clear_gradients()
        optimizer.set_rate(0.1)
        optimizer.backward(w.sum() * gradient)
        optimizer.update()


@EVERY_OPTIMIZER
def test_an_update_that_overflows_is_skipped_and_the_scale_halved(spec: OptimizerSpec) -> None:
    optimizer = ScaledOptimizer(spec, [weight()], [])
    changed = [*optimizer.trained, *Optimizer.slots(optimizer)]
    made(optimizer, [1.0])
    before = [tensor.detach().clone() for tensor in changed]
    made(optimizer, [TOO_LARGE])
    for one, other in zip(changed, before, strict=True):
        assert torch.equal(one, other)
    assert optimizer.scale.scale == INITIAL / 2
    assert (optimizer.scale.updates, optimizer.scale.skipped_updates) == (1, 1)


@EVERY_OPTIMIZER
def test_updates_that_are_made_are_those_without_a_scale(spec: OptimizerSpec) -> None:
    scaled, plain = ScaledOptimizer(spec, [weight()], []), Optimizer(spec, [weight()], [])
    made(scaled, GRADIENTS)
    made(plain, [gradient for gradient in GRADIENTS if gradient != TOO_LARGE])
    assert torch.equal(scaled.trained[0], plain.trained[0])
    for one, other in zip(scaled.slots(), plain.slots(), strict=False):
        assert torch.equal(one, other)


def test_the_scale_is_that_of_pytorchs_own_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scaling, "GROWTH_INTERVAL", 3)
    spec = OptimizerSpec("sgd")
    optimizer = ScaledOptimizer(spec, [weight()], [])
    theirs = weight()
    descent = torch.optim.SGD([theirs], 0.1)
    scaler = torch.amp.GradScaler("cpu", growth_interval=3)
    scales = []
    for gradient in GRADIENTS:
        made(optimizer, [gradient])
        descent.zero_grad()
        scaler.scale(theirs.sum() * gradient).backward()
        scaler.step(descent)
        scaler.update()
        assert optimizer.scale.scale.item() == scaler.get_scale()
        assert torch.equal(optimizer.trained[0], theirs)
        scales.append(scaler.get_scale() / INITIAL)
    assert scales == [1, 0.5, 0.5, 0.5, 1, 1, 0.5, 0.25, 0.25]


def test_clipping_is_of_gradients_without_the_scale() -> None:
    spec = OptimizerSpec("sgd", clip_norm=1e3)
    scaled, plain = ScaledOptimizer(spec, [weight()], []), Optimizer(spec, [weight()], [])
    for each in (scaled, plain):
        made(each, [2.0])
    assert torch.equal(scaled.trained[0], plain.trained[0])


def test_a_cpu_does_not_offer_it() -> None:
    with pytest.raises(
        Unavailable, match=r"precision=float16 .* device=cpu; it has: float32, float64, bfloat16"
    ):
        session(Case("lstm"), precision="float16")


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize(
    ("cell", "implementation"),
    [(cell, i) for cell in CELLS for i in backend.implementations(cell) if i != "compiled"],
)
def test_every_cell_is_within_the_limit(cell: str, implementation: str) -> None:
    case = Case(cell)
    opened = session(case, implementation, precision="float16")
    x, y = case.data()
    mine, theirs = opened.gradients(x, y), open_session("numpy", case, "loop", ADAM).gradients(x, y)
    assert 1e-6 < worst(mine.gradients, theirs.gradients)[0] < LIMITS["float16"]
    assert all(array.dtype == np.float32 for array in mine.gradients.values())


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("implementation", ["fused", "loop"])
def test_small_gradients_survive(implementation: str) -> None:
    """Those of a sequence of many are below float16's smallest number without the scale."""
    case = Case("lstm")
    opened = session(case, implementation, precision="float16")
    reference = open_session("numpy", case, "loop", ADAM)
    weights = case.weights()
    weights["readout.W"] = weights["readout.W"] * 1e-5
    for each in (opened, reference):
        each.put_weights(weights)
    found, expected = (each.gradients(*case.data()).gradients for each in (opened, reference))
    name = "layers.0.forward.W_hg"
    assert 0 < np.abs(expected[name]).max() < 1e-6
    # half precision in every step, over gates of which each has eleven bits of mantissa
    np.testing.assert_allclose(found[name], expected[name], rtol=0.05, atol=1e-9)


def scaled(scale: float, optimizer: OptimizerSpec = ADAM, **setup: object) -> TorchSession:
    opened = session(Case("lstm"), optimizer=optimizer, precision="float16", **setup)
    opened.put_optimizer_state({**opened.optimizer_state(), LOSS_SCALE: np.float32(scale)})
    return opened


def trained(opened: TorchSession, first: int, last: int) -> np.ndarray:
    batches = np.random.default_rng(13).integers(0, 24, (20, 6))
    return opened.train(batches[first:last], np.linspace(0.02, 0.01, 20)[first:last])


@pytest.mark.usefixtures("on_cpu")
@EVERY_OPTIMIZER
def test_a_session_goes_on_bit_for_bit_after_skipped_updates(spec: OptimizerSpec) -> None:
    straight, first, second = (scaled(2.0**26, spec) for _ in range(3))
    expected = trained(straight, 0, 20)
    losses = trained(first, 0, 15)
    state, weights = first.optimizer_state(), first.weights()
    skipped = int(state["loss_scale.skipped_updates"])
    assert 1 < skipped < 15
    assert int(state["step"]) == 15 - skipped
    assert state[LOSS_SCALE] == 2.0 ** (26 - skipped)
    assert first.details() == {"loss_scale": {"scale": 2.0 ** (26 - skipped), "skipped_updates": skipped}}
    second.put_weights(weights)
    second.put_optimizer_state(state)
    np.testing.assert_array_equal([*losses, *trained(second, 15, 20)], expected)
    for name, array in straight.weights().items():
        np.testing.assert_array_equal(second.weights()[name], array)
    for name, array in straight.optimizer_state().items():
        np.testing.assert_array_equal(second.optimizer_state()[name], array)


@pytest.mark.usefixtures("on_cpu")
def test_new_weights_begin_with_the_first_scale_and_a_state_without_one_too() -> None:
    opened = scaled(2.0**40)
    trained(opened, 0, 15)
    opened.put_weights(Case("lstm").weights())
    begin = opened.optimizer_state()
    assert (begin[LOSS_SCALE], begin["step"], begin["loss_scale.skipped_updates"]) == (INITIAL, 0, 0)
    other = open_session("numpy", Case("lstm"), "loop", ADAM)
    trained(opened, 0, 5)
    other.put_optimizer_state(opened.optimizer_state())  # which has no use for the scale
    assert other.optimizer_state()["step"] == 5
    opened.put_optimizer_state(other.optimizer_state())
    assert opened.optimizer_state()[LOSS_SCALE] == INITIAL
    assert opened.optimizer_state()["step"] == 5


@pytest.mark.usefixtures("on_cpu")
def test_a_proof_is_of_updates_that_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scaling, "INITIAL", 2.0**40)
    case = Case("lstm")
    setup = Setup(model=case.model, optimizer=ADAM, implementation="fused", precision="float16")
    opened = backend.open_session(setup)
    x, y = (array.astype(np.float32 if array.dtype == float else np.int64) for array in case.data())
    weights = {name: w.astype(np.float32) for name, w in case.weights().items()}
    opened.load("train", x, y)
    rows = np.arange(18).reshape(3, 6)
    found = training.measure(
        opened, setup, weights, training.Batches(x, y, rows, rows, np.array([0.01, 0.005, 0.001]))
    )
    training.check_limit(found)
    assert found.largest < found.limit
    assert opened.optimizer_state()["step"] == 3
    gradients.check_limit(gradients.measure(opened, setup, opened.weights(), x, y))


@pytest.mark.usefixtures("on_cpu")
@EVERY_OPTIMIZER
@pytest.mark.parametrize("pads", [False, True], ids=["plain", "padded"])
def test_graphs_scale_and_skip_as_single_steps_do(
    monkeypatch: pytest.MonkeyPatch, spec: OptimizerSpec, pads: bool
) -> None:
    """All but the capture itself: the rate and the scale are on the device, and both are restored."""
    expected = scaled(2.0**26, spec, pad_features=pads)
    losses = trained(expected, 0, 19)
    uncapture(monkeypatch)
    found = scaled(2.0**26, spec, pad_features=pads)
    assert found.kernel.endswith(", CUDA graph")
    rtol = 1e-4 if spec.name == "rmsprop" else 1e-6  # it divides by the root and by the rate in one
    np.testing.assert_allclose(trained(found, 0, 19), losses, rtol=rtol)
    state = found.optimizer_state()
    assert state["loss_scale.skipped_updates"] > 1
    for name, array in expected.optimizer_state().items():
        np.testing.assert_allclose(state[name], array, rtol=rtol, atol=1e-5)
    assert found.details() == expected.details()
    x, ranges = Case("lstm").data()[0], [(0, 8), (8, 9)]
    reads = [
        (session.predict("train", ranges), session.read_on(x[:3, :2]), session.read_on(x[:3, 2:3]))
        for session in (found, expected)
    ]
    for one, other in zip(*reads, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)  # 2⁻¹⁰ is a step of float16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_trains_on_a_gpu() -> None:
    case = replace(Case("lstm"), layers=2)
    low, single = (session(case, device="cuda", precision=precision) for precision in ("float16", "float32"))
    # twenty updates, each of which carries on the rounding to eleven bits of those before
    np.testing.assert_allclose(trained(low, 0, 20), trained(single, 0, 20), rtol=0.02)
    assert "loss_scale" in low.details()
