"""States, chunks and dropout of the Keras backend on TensorFlow."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from harness.backends.base import Setup
from harness.backends.keras import backend
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import Case, open_session, train, worst


def opened(case: Case, implementation: str = "fused", optimizer: OptimizerSpec | None = None):
    return open_session("keras", case, implementation, optimizer or OptimizerSpec("adam"))


def session_and_data(case: Case, implementation: str = "fused"):
    return opened(case, implementation), case.data()[0]


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
def test_final_states_are_those_of_plain_keras_layers(cell: str) -> None:
    """By name: a model that a person would write, with the weights that the session stores."""
    import keras

    case = Case(cell, layers=2, bidirectional=True)
    session, x = session_and_data(case)
    stock = {
        "lstm": keras.layers.LSTM,
        "gru_reset_before": lambda H, **how: keras.layers.GRU(H, reset_after=False, **how),
    }[cell]
    names = [state.name for state in case.model.spec.state]
    module = import_module(f"harness.backends.keras.cells.{cell}")
    y, expected = x, {}
    for layer in range(2):
        plain = keras.layers.Bidirectional(
            stock(5, return_sequences=True, return_state=True, dtype="float64"), dtype="float64"
        )
        plain.build(y.shape)
        stored = []
        for direction in ("forward", "backward"):
            prefix = f"layers.{layer}.{direction}."
            own = {n.removeprefix(prefix): w for n, w in case.weights().items() if n.startswith(prefix)}
            stored += module.pack(own)
        plain.set_weights(stored)
        y, *states = plain(y)
        keys = [f"layers.{layer}.{way}.{name}" for way in ("forward", "backward") for name in names]
        expected |= dict(zip(keys, map(np.array, states), strict=True))
    found = session.outputs(x)
    assert list(found.states) == list(expected)
    assert worst(found.states, expected)[0] < 1e-12
    np.testing.assert_allclose(found.sequence, np.array(y), rtol=1e-12)
    np.testing.assert_allclose(found.last[:, :5], expected["layers.1.forward.h"], rtol=1e-12)
    np.testing.assert_allclose(found.last[:, 5:], expected["layers.1.backward.h"], rtol=1e-12)


@pytest.mark.parametrize(("cell", "implementation"), [("lstm", "fused"), ("fir", "fused"), ("sru", "loop")])
def test_states_handed_back_continue_exactly(cell: str, implementation: str) -> None:
    session, x = session_and_data(Case(cell, layers=2, initial_state="learned"), implementation)
    assert session.states() == {}
    start = session.advance(x[:, :3])
    states = session.states()
    assert list(states) == list(session.outputs(x).states)
    for name, state in start.states.items():
        np.testing.assert_array_equal(states[name], state)
    straight = session.advance(x[:, 3:])
    session.reset()
    assert session.states() == {}
    session.put_states(states)
    for state in states.values():
        state[...] = np.nan  # the session has a copy
    again = session.advance(x[:, 3:])
    np.testing.assert_array_equal(again.sequence, straight.sequence)
    np.testing.assert_array_equal(again.logits, straight.logits)


def test_states_are_reset_by_name_and_bad_ones_refused() -> None:
    case = Case("lstm", initial_state="learned")
    (session, x), weights = session_and_data(case, "loop"), case.weights()
    h, c = "layers.0.forward.h", "layers.0.forward.c"
    session.reset(h)
    session.advance(x)
    before = session.states()
    session.reset(h)
    after = session.states()
    np.testing.assert_array_equal(after[h], np.tile(weights["layers.0.forward.initial_h"], (24, 1)))
    np.testing.assert_array_equal(after[c], before[c])
    with pytest.raises(ValueError, match=rf"nothing: is no state of this model, which has {h}, {c}"):
        session.reset("nothing")
    with pytest.raises(ValueError, match="x: is no state"):
        session.put_states({"x": np.zeros((24, 5))})
    with pytest.raises(ValueError, match=r"has shape \(24, 4\), must be \(B, 5\)"):
        session.put_states({h: np.zeros((24, 4))})
    with pytest.raises(ValueError, match="states of 3 and 24 sequences cannot go together"):
        session.put_states({h: np.zeros((3, 5))})
    with pytest.raises(ValueError, match=r"the carried states are of 24 sequences, not of 3; reset\(\)"):
        session.advance(x[:3])
    session.reset()
    session.put_states({h: np.zeros((3, 5))})
    np.testing.assert_array_equal(session.states()[c][0], weights["layers.0.forward.initial_c"])
    session.advance(x[:3])


def dropping(implementation: str, *, dropout: float = 0.5, seed: int = 0, layers: int = 2):
    case = Case("gru", layers=layers)
    model = replace(case.model, dropout=dropout)
    setup = Setup(model, OptimizerSpec("sgd"), implementation, precision="float64", seed=seed)
    session = backend.open_session(setup)
    session.put_weights(case.weights())
    session.load("train", *case.data())
    return session


@pytest.mark.long
@pytest.mark.parametrize("implementation", ["fused", "compiled"])
def test_dropout_is_the_seeds_and_only_in_training(implementation: str) -> None:
    case, session = Case("gru", layers=2), dropping(implementation)
    x, y = case.data()
    plain = dropping(implementation, dropout=0.0)
    np.testing.assert_array_equal(session.outputs(x).logits, plain.outputs(x).logits)
    assert session.gradients(x, y).loss == plain.gradients(x, y).loss
    losses, weights = train(session)
    assert np.all(losses != train(plain)[0])
    session.put_weights(case.weights())
    losses_again, weights_again = train(session)
    np.testing.assert_array_equal(losses, losses_again)
    assert worst(weights_again, weights)[0] == 0
    assert np.all(train(dropping(implementation, seed=1))[0] != losses)


def test_every_update_drops_anew_its_share() -> None:
    """At a rate of zero the weights stay, so that only the masks tell one update from the next."""
    session = dropping("loop")
    losses = session.train(np.tile(np.arange(6), (40, 1)), np.zeros(40))
    assert len(set(losses.tolist())) == 40
    single = dropping("loop", layers=1)  # nothing lies between its layers
    assert len(set(single.train(np.tile(np.arange(6), (3, 1)), np.zeros(3)).tolist())) == 1


def test_dropout_zeroes_a_share_and_scales_up_the_rest() -> None:
    from harness.backends.keras.dropout import dropout

    drop = dropout(replace(Case("gru", layers=3).model, dropout=0.25))(3, 7)
    first, second = np.array(drop(np.ones((50, 40)))), np.array(drop(np.ones((50, 40))))
    assert set(np.unique(first)) == {0.0, np.float64(1 / 0.75)}
    assert abs(np.mean(first == 0) - 0.25) < 0.03
    assert np.any(first != second)


@pytest.mark.parametrize("implementation", ["fused", "loop"])
def test_one_chunk_is_ordinary_training_bit_for_bit(implementation: str) -> None:
    case = Case("lstm", layers=2, initial_state="learned")
    losses, weights = train(opened(case, implementation))
    chunked_losses, chunked_weights = train(opened(replace(case, truncate=7), implementation))
    np.testing.assert_array_equal(losses, chunked_losses)
    assert worst(chunked_weights, weights)[0] == 0


@pytest.mark.parametrize("cell", ["lstm", "fir"])
def test_chunks_of_stacked_layers_with_learned_starts(cell: str) -> None:
    """Over more updates than fit in one compiled call, so that states are handed from call to call."""
    case = Case(cell, layers=2, readout="attention", initial_state="learned", steps=8, truncate=2)
    optimizer = OptimizerSpec("adam", clip_norm=0.5)
    losses, weights = train(opened(case, "fused", optimizer))
    expected_losses, expected_weights = train(open_session("numpy", case, "loop", optimizer))
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)
    assert worst(weights, expected_weights)[0] < 1e-9
