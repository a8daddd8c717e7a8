"""What does not fit a session is refused before a framework sees it, in the same words everywhere."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from harness.backends.base import Session
from harness.config.matrix import build_matrix
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import Case, open_session

T, I = 7, 4
X, Y = np.ones((5, T, I)), np.array([0, 1, 2, 0, 1])
WRONG_INPUTS = [
    np.ones((5, T, I - 1)),
    np.ones((5, T, I + 1)),
    np.ones((5, T, 10 * I)),
    np.ones((5, T, 0)),
    np.ones((0, T, I)),
    np.ones((5, 0, I)),
    np.ones((T, I)),
    np.ones((5, T, I, 1)),
]
WRONG_LABELS = [
    (Y[:, None], "y is (5, 1) int64: y must be (5,) integers, one per sequence"),
    (Y - 1, "y[0] is -1: classes are 0 … 2"),
    (np.where(Y == 2, -100, Y), "y[2] is -100: classes are 0 … 2"),
    (Y + 1, "y[2] is 3: classes are 0 … 2"),
]
OFFERED = sorted(build_matrix().offered)


def refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize("offered", OFFERED, ids=" ".join)
def test_inputs_and_labels_of_another_form_are_refused_alike(offered: tuple[str, str, str]) -> None:
    cell, backend, implementation = offered
    session = open_session(backend, Case(cell), implementation, OptimizerSpec())
    steps = T if cell in ("mlp", "recursive") else "T"
    for x in WRONG_INPUTS:
        at_least = "B and T at least 1" if steps == "T" else "B at least 1"
        message = f"x is {x.shape}: x must be (B, {steps}, {I}), {at_least}"
        refused(lambda x=x: session.outputs(x), message)
        refused(lambda x=x: session.advance(x), message)
        message = f"x is {x.shape}: x must be (B, {T}, {I}), B at least 1"
        refused(lambda x=x: session.gradients(x, Y), message)
        refused(lambda x=x: session.load("test", x, Y), message)
    for y, message in WRONG_LABELS:
        refused(lambda y=y: session.gradients(X, y), message)
        refused(lambda y=y: session.load("test", X, y), message)
    session.close()


@pytest.fixture(params=["numpy", "torch", "keras"])
def session(request: pytest.FixtureRequest) -> Session:
    return open_session(request.param, Case("lstm"), "loop", OptimizerSpec())


def test_states_weights_and_rows_of_another_form_are_refused_alike(session: Session) -> None:
    states = {"layers.0.forward.h": np.ones((5, 6))}
    refused(
        lambda: session.put_states(states),
        "layers.0.forward.h: has shape (5, 6), must be (B, 5), B at least 1",
    )
    refused(lambda: session.put_states({"h": np.ones((5, 5))}), _no_state("h"))
    refused(
        lambda: session.put_states({"layers.0.forward.h": np.full((5, 5), "a")}),
        "layers.0.forward.h holds <U1: must be numbers",
    )
    weights = session.weights()
    bias = weights["readout.b"]
    refused(
        lambda: session.put_weights({**weights, "readout.b": bias[:1]}),
        "readout.b: has shape (1,), must be (3,)",
    )
    refused(lambda: session.put_weights({"readout.b": bias} | {"x": bias}), _first_missing(session))
    np.testing.assert_array_equal(session.weights()["readout.b"], bias)
    for rows in ([(0, 25)], [(-1, 3)], [(3, 3)]):
        refused(
            lambda rows=rows: session.predict("train", rows),
            f"{rows[0]}: must be rows within 0 … 24, at least one",
        )
    refused(lambda: session.predict("validation", [(0, 1)]), "no split 'validation' is loaded, only train")
    rates = np.ones(1)
    refused(lambda: session.train(np.array([[0, 24]]), rates), "batches have 0 … 24: must be within 0 … 23")
    refused(lambda: session.train(np.array([[0, -1]]), rates), "batches have -1 … 0: must be within 0 … 23")
    refused(
        lambda: session.train(np.array([[0, 1]]), np.ones(2)), "rates are (2,): must be (1,), one per update"
    )


def _no_state(name: str) -> str:
    return f"{name}: is no state of this model, which has layers.0.forward.h, layers.0.forward.c"


def _first_missing(session: Session) -> str:
    return f"{next(iter(session.weights()))}: is missing"
