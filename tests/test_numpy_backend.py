"""The reference itself: its gradients against central differences, its shards, its determinism."""

import numpy as np
import pytest

from harness.optim import OptimizerSpec
from tests.parity import Case, open_session
from tests.test_parity import CASES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_those_of_central_differences(case: Case) -> None:
    session = open_session("numpy", case, "loop", OptimizerSpec("sgd"))
    x, y = case.data()
    weights, found = case.weights(), session.gradients(x, y).gradients
    step = 1e-5
    for name, w in weights.items():
        numeric = np.empty_like(w)
        for index in np.ndindex(w.shape):
            losses = []
            for sign in (+1, -1):
                moved = w.copy()
                moved[index] += sign * step
                session.put_weights({**weights, name: moved})
                losses.append(session.gradients(x, y).loss)
            numeric[index] = (losses[0] - losses[1]) / (2 * step)
        error = np.max(np.abs(found[name] - numeric)) / np.max(np.abs(numeric))
        assert error < 1e-6, f"{name}: {error:.1e}"
