"""Names, shapes, counts and initial weights."""

import subprocess
import sys

import numpy as np
import pytest

from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.optimizer import Schedule

LSTM = ModelSpec("lstm", steps=28, features=28, hidden=128, classes=10)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("rnn", 128 * (28 + 128 + 1)), ("lstm", 4 * 128 * (28 + 128 + 1)), ("gru", 3 * 128 * 157 + 128)],
)
def test_parameters_are_those_of_the_equations(cell: str, expected: int) -> None:
    model = ModelSpec(cell, steps=28, features=28, hidden=128, classes=10)
    assert model.parameters == expected + 128 * 10 + 10


def test_canonical_names_and_shapes() -> None:
    model = ModelSpec("gru", 7, 4, 5, 3, layers=2, bidirectional=True)
    shapes = model.shapes()
    assert shapes["layers.0.forward.W_xr"] == (4, 5)
    assert shapes["layers.1.backward.W_xn"] == (10, 5)
    assert shapes["layers.1.backward.W_hz"] == (5, 5)
    assert shapes["layers.0.backward.b_hn"] == (5,)
    assert shapes["readout.W"] == (10, 3)
    assert len(shapes) == 4 * 10 + 2


def test_flops_count_two_for_each_multiply_add() -> None:
    assert LSTM.flops_per_sequence == 28 * 2 * 4 * (28 * 128 + 128 * 128) + 2 * 128 * 10


def test_a_spec_survives_its_metadata() -> None:
    model = ModelSpec("rnn", 7, 4, 5, 3, 2, True, "mean", {"activation": "relu"})
    assert ModelSpec.from_json(model.to_json()) == model


def test_adding_a_layer_or_a_direction_changes_no_other_weight() -> None:
    small = draw(LSTM, seed=3, scheme="keras")
    large = draw(ModelSpec("lstm", 28, 28, 128, 10, layers=2, bidirectional=True), seed=3, scheme="keras")
    for name in small:
        if not name.startswith("readout."):
            np.testing.assert_array_equal(small[name], large[name])


def test_every_weight_has_a_stream_of_its_own() -> None:
    weights = draw(LSTM, seed=0, scheme="keras")
    gates = [weights[f"layers.0.forward.W_h{gate}"] for gate in "ifgo"]
    assert all(not np.allclose(a, b) for k, a in enumerate(gates) for b in gates[:k])
    assert not np.allclose(gates[0], draw(LSTM, seed=1, scheme="keras")["layers.0.forward.W_hi"])


def test_scheme_keras() -> None:
    weights = draw(LSTM, seed=0, scheme="keras")
    w = weights["layers.0.forward.W_hf"]
    np.testing.assert_allclose(w.T @ w, np.eye(128), atol=1e-12)
    bound = np.sqrt(6 / (28 + 128))
    x = weights["layers.0.forward.W_xi"]
    assert 0.95 * bound < np.abs(x).max() <= bound
    assert np.all(weights["layers.0.forward.b_f"] == 1)
    assert np.all(weights["layers.0.forward.b_i"] == 0)


def test_scheme_torch() -> None:
    weights = draw(LSTM, seed=0, scheme="torch")
    bound = 1 / np.sqrt(128)
    for name, w in weights.items():
        assert np.abs(w).max() <= bound, name
        assert np.abs(w).max() > 0.5 * bound, name


def test_scheme_irnn() -> None:
    weights = draw(ModelSpec("rnn", 28, 28, 128, 10), seed=0, scheme="irnn")
    np.testing.assert_array_equal(weights["layers.0.forward.W_hh"], np.eye(128))
    assert 0.0009 < weights["layers.0.forward.W_xh"].std() < 0.0011
    assert np.abs(weights["readout.W"]).max() > 0.1


def test_schedules() -> None:
    cosine = Schedule("cosine", 2.0, total_steps=100, steps_per_epoch=10)
    np.testing.assert_allclose(cosine.rates(0, 101)[[0, 50, 100]], [2, 1, 0], atol=1e-12)
    np.testing.assert_array_equal(cosine.rates(30, 5), cosine.rates(0, 100)[30:35])
    step = Schedule("step", 2.0, 100, 10, decay_factor=0.5, decay_epochs=2)
    np.testing.assert_allclose(step.rates(0, 60)[[0, 19, 20, 39, 40]], [2, 2, 1, 1, 0.5])
    assert set(Schedule("constant", 2.0, 100, 10).rates(0, 100)) == {2.0}


def test_importing_the_harness_is_quick_and_brings_no_framework() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import harness; t = time.perf_counter() - t\n"
        "print(t, *sorted({'torch', 'tensorflow', 'keras', 'jax', 'pandas', 'hydra'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *heavy = done.stdout.split()
    assert float(seconds) < 0.5
    assert heavy == []


def test_the_command_line_imports_no_framework() -> None:
    code = (
        "import sys, harness.commands.run, harness.commands.cli\n"
        "print({'torch', 'tensorflow', 'keras', 'jax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
