"""What PyTorch carries: states between calls and between chunks, and the random numbers of dropout."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from harness.backends.torch.session import TorchSession
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import Case, distance, open_session, optimizers, train, worst
from tests.support.torch_sessions import ADAM, session

LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
DEEP = Case("lstm", layers=3)


def opened(case: Case, implementation: str = "auto", **setup: object) -> TorchSession:
    return session(case, implementation, precision="float64", **setup)


def data(case: Case, sequences: int = 6) -> np.ndarray:
    return case.data()[0][:sequences]


def dropping(dropout: float = 0.5, implementation: str = "fused", **setup: object) -> TorchSession:
    """A stack of three layers with dropout between them."""
    model = replace(DEEP.model, dropout=dropout)
    return opened(DEEP, implementation, model=model, **setup)


# Carried states


@pytest.mark.parametrize("implementation", ["fused", "loop"])
@pytest.mark.parametrize("cell", LAYERS)
def test_states_have_the_names_of_what_stock_modules_return(cell: str, implementation: str) -> None:
    case = Case(cell, layers=2, bidirectional=True)
    found = opened(case, implementation).outputs(data(case)).states
    plain = LAYERS[cell](4, 5, num_layers=2, bidirectional=True).double()
    stored = opened(case, "fused")._model.layers.stacks[0].state_dict()
    plain.load_state_dict(stored)
    _, state = plain(torch.from_numpy(data(case)).transpose(0, 1))
    expected = dict(zip("hc", state if cell == "lstm" else (state,), strict=False))
    assert len(found) == 4 * len(expected)
    for name, tensor in expected.items():
        blocks = [f"layers.{n}.{way}" for n in (0, 1) for way in ("forward", "backward")]
        for block, expected_state in zip(blocks, tensor.detach().numpy(), strict=True):
            assert distance(found[f"{block}.{name}"], expected_state) < 1e-12, (block, name)


@pytest.mark.parametrize(
    ("cell", "implementation"),
    [("lstm", "fused"), ("lstm", "loop"), ("fir", "fused"), ("hopfield", "loop"), ("mingru", "scan")],
)
def test_final_states_handed_back_continue_exactly(cell: str, implementation: str) -> None:
    case = Case(cell, layers=2, initial_state="learned")
    one = opened(case, implementation)
    one.advance(data(case)[:, :4])
    expected = one.advance(data(case)[:, 4:])
    other = opened(case, implementation)
    other.put_states(one.outputs(data(case)[:, :4]).states)
    found = other.advance(data(case)[:, 4:])
    np.testing.assert_array_equal(found.sequence, expected.sequence)
    for name, state in expected.states.items():
        np.testing.assert_array_equal(other.states()[name], state)


def test_states_are_copies() -> None:
    case = Case("rnn")
    one = opened(case, "loop")
    assert one.states() == {}
    first = one.advance(data(case)[:, :1])
    kept = one.states()
    for array in (first.sequence, first.last, *first.states.values(), *kept.values()):
        array[...] = 7.0
    given = {"layers.0.forward.h": np.ones((6, 5))}
    assert (one.states()["layers.0.forward.h"] != 7.0).all()
    one.put_states(given)
    given["layers.0.forward.h"][...] = 7.0
    assert (one.states()["layers.0.forward.h"] == 1.0).all()
    one.outputs(data(case))
    assert (one.states()["layers.0.forward.h"] == 1.0).all()


def test_some_states_may_be_put_or_reset_and_the_others_stay() -> None:
    case = Case("lstm", layers=2, initial_state="learned")
    one = opened(case)
    one.put_states({"layers.1.forward.c": np.full((6, 5), 3.0)})
    weights, states = one.weights(), one.states()
    assert list(states) == list(case.model.states())
    assert (states["layers.1.forward.c"] == 3.0).all()
    for row in states["layers.0.forward.h"]:
        np.testing.assert_array_equal(row, weights["layers.0.forward.initial_h"])
    one.advance(data(case))
    before = one.states()
    one.reset("layers.0.forward.h")
    after = one.states()
    np.testing.assert_array_equal(after["layers.0.forward.h"], states["layers.0.forward.h"])
    np.testing.assert_array_equal(after["layers.0.forward.c"], before["layers.0.forward.c"])
    one.reset()
    assert one.states() == {}


def test_states_that_do_not_fit_are_refused() -> None:
    case = Case("lstm")
    one = opened(case)
    with pytest.raises(ValueError, match=r"h: is no state .* layers\.0\.forward\.h, layers\.0\.forward\.c"):
        one.reset("h")
    with pytest.raises(ValueError, match="nosuch: is no state of this model"):
        one.put_states({"nosuch": np.zeros((6, 5))})
    with pytest.raises(ValueError, match=r"has shape \(5,\), must be \(B, 5\)"):
        one.put_states({"layers.0.forward.h": np.zeros(5)})
    one.advance(data(case))
    with pytest.raises(ValueError, match=r"are of 6 sequences, not of 2; reset\(\) begins anew"):
        one.advance(data(case, 2))
    with pytest.raises(ValueError, match="states of 2 and 6 sequences cannot go together"):
        one.put_states({"layers.0.forward.h": np.zeros((2, 5))})
    one.put_states({name: np.zeros((2, 5)) for name in one.states()})
    assert one.advance(data(case, 2)).logits.shape == (2, 3)


def test_a_delay_line_of_one_tap_has_a_state_of_nothing() -> None:
    case = Case("fir", layers=2, initial_state="learned", options=(("taps", 1),))
    one = opened(case, "loop")
    train(one)
    assert one.advance(data(case)).states["layers.0.forward.taps"].shape == (6, 0)


# Chunks


@pytest.mark.parametrize(("cell", "implementation"), [("lstm", "fused"), ("history_compressor", "loop")])
def test_one_chunk_is_ordinary_training_to_the_bit(cell: str, implementation: str) -> None:
    case = Case(cell, readout="mean", initial_state="learned")
    losses, weights = train(opened(case, implementation))
    chunked, chunked_weights = train(opened(case, implementation, truncate=case.steps))
    np.testing.assert_array_equal(chunked, losses)
    for name, w in weights.items():
        np.testing.assert_array_equal(chunked_weights[name], w)


def test_every_chunk_is_an_update_from_the_states_of_the_one_before() -> None:
    case = Case("lstm", steps=8)
    chunked = opened(case, optimizer=OptimizerSpec("adam"), truncate=2)
    chunked.train(np.arange(6)[None], np.array([0.01]))
    (state,) = {int(s["step"]) for s in chunked._optimizer.optimizer.state.values()}
    assert state == 4
    assert worst(chunked.weights(), case.weights())[0] > 1e-3


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda spec: spec.name)
def test_a_learned_start_gets_its_gradient_from_the_first_chunk(optimizer: OptimizerSpec) -> None:
    case = Case("gru", steps=8, initial_state="learned", truncate=2)
    losses, weights = train(open_session("torch", case, "loop", optimizer))
    expected_losses, expected_weights = train(open_session("numpy", case, "loop", optimizer))
    assert distance(losses, expected_losses) < 1e-9
    assert worst(weights, expected_weights)[0] < 1e-9


# Parallel scan


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 28, 100])
@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_the_scan_is_the_loop(cell: str, steps: int) -> None:
    case = Case(cell, layers=2, bidirectional=True, initial_state="learned", steps=steps)
    scan, loop = opened(case, "scan"), opened(case, "loop")
    x, y = case.data()
    assert distance(scan.outputs(x).sequence, loop.outputs(x).sequence) < 1e-12
    assert worst(scan.gradients(x, y).gradients, loop.gradients(x, y).gradients)[0] < 1e-9


# Dropout


@pytest.mark.parametrize("implementation", ["fused", "loop"])
def test_dropout_of_the_same_seed_is_the_same_to_the_bit(implementation: str) -> None:
    one = dropping(implementation=implementation, seed=5)
    first = train(one)
    torch.rand(3)  # whatever else draws
    one.put_weights(DEEP.weights())
    again, other = train(one), train(dropping(implementation=implementation, seed=6))
    np.testing.assert_array_equal(again[0], first[0])
    for name, w in first[1].items():
        np.testing.assert_array_equal(again[1][name], w)
    assert (other[0] != first[0]).any()


def test_dropout_drops_the_same_in_every_implementation() -> None:
    fused, loop = train(dropping()), train(dropping(implementation="loop"))
    assert distance(fused[0], loop[0]) < 1e-9
    assert distance(fused[0], train(opened(DEEP, "fused"))[0]) > 1e-3


def test_dropout_is_off_outside_training() -> None:
    with_dropout, without = dropping(), opened(DEEP, "fused")
    x, y = case_data = DEEP.data()
    assert distance(with_dropout.outputs(x).logits, without.outputs(x).logits) < 1e-12
    assert distance(with_dropout.advance(x).logits, without.outputs(x).logits) < 1e-12
    assert distance(with_dropout.predict("train", [(0, 24)]), without.predict("train", [(0, 24)])) < 1e-12
    found, expected = with_dropout.gradients(*case_data), without.gradients(x, y)
    assert worst(found.gradients, expected.gradients)[0] < 1e-9


def test_dropout_draws_from_nobody_elses_numbers() -> None:
    one = dropping()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    train(one)
    assert torch.equal(torch.rand(4), expected)


# What is frozen, and what has nothing to do with the loss


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_reservoir_never_changes(optimizer: str) -> None:
    case = Case("echo_state", layers=2)
    one = opened(case, optimizer=replace(ADAM, name=optimizer))
    found = one.gradients(*case.data()).gradients
    _, weights = train(one)
    for name, w in case.weights().items():
        frozen = name.startswith("layers.")
        assert found[name].any() != frozen, name
        assert np.array_equal(weights[name], w) == frozen, name


def test_a_weight_that_is_not_used_has_a_gradient_of_zeros() -> None:
    case = Case("recursive", steps=1)  # one leaf: nothing is merged
    one = opened(case)
    found = one.gradients(*case.data()).gradients
    _, weights = train(one)
    for name in ("W_ah", "W_bh", "b_c"):
        assert not found[f"layers.0.forward.{name}"].any()
        np.testing.assert_array_equal(
            weights[f"layers.0.forward.{name}"], case.weights()[f"layers.0.forward.{name}"]
        )


def test_features_are_what_the_readout_reads() -> None:
    case = Case("gru", bidirectional=True, readout="attention")
    one = opened(case)
    features = one.features("train", [(0, 5), (5, 24)])
    weights = one.weights()
    assert features.shape == (24, 10)
    logits = features @ weights["readout.W"] + weights["readout.b"]
    assert distance(logits, one.predict("train", [(0, 24)])) < 1e-12
