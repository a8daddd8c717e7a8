"""Weights for plain PyTorch and Keras models, which know nothing of this project, and back.

The plain models are written here the way anyone writes them; every one of their weights is random, both
biases of each gate too.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import harness
from harness.backends.base import Setup, Weights
from harness.backends.keras import plain_model as plain_keras
from harness.backends.keras.backend import start_engine
from harness.backends.numpy.backend import open_session
from harness.backends.torch import plain_model as plain_torch
from harness.data.dataset import load
from harness.errors import HarnessError, WeightsError
from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec
from harness.store import weights as conversions
from tests.conftest import Shell

LAYERS = {"torch": plain_torch.LAYERS, "keras": plain_keras.LAYERS}

HOUSE = Path(harness.__file__).parent
RTOL = 1e-9
DIGITS = load("digits", Path())


def there(framework: str) -> list[str]:
    """The cells that a framework has a layer for, and whose file lies here."""
    folder = HOUSE / "backends" / framework / "cells"
    return [cell for cell in LAYERS[framework] if (folder / f"{cell}.py").exists()]


def models(framework: str) -> list[Any]:
    found = []
    for cell in there(framework):
        for layers in (1, 3):
            for both in (False, True):
                for activation in ("tanh", "relu") if cell == "rnn" else (None,):
                    options = {"activation": activation} if activation else {}
                    model = ModelSpec(cell, 7, 4, 5, 3, layers, both, options=options)
                    name = f"{cell}{'-relu' * (activation == 'relu')}-{layers}{'-both' * both}"
                    found.append(pytest.param(model, id=name))
    return found


def random(model: ModelSpec) -> Weights:
    """No constant, no zero."""
    rng = np.random.default_rng(5)
    return {name: w + rng.normal(0, 0.3, w.shape) for name, w in draw(model, 3, "keras").items()}


def sequences() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(6, 7, 4))


def reference(model: ModelSpec, weights: Weights) -> np.ndarray:
    """Logits (6, 3) of the NumPy reference in float64."""
    session = open_session(Setup(model, OptimizerSpec(), precision="float64"))
    session.put_weights(weights)
    logits = session.outputs(sequences()).logits
    session.close()
    return logits


@pytest.fixture(autouse=True, scope="module")
def _tensorflow() -> None:
    """Keras starts once in a process, and keeps 64 bits on TensorFlow only."""
    start_engine("tensorflow", threads=1)("cpu", threads=1, precision="float64")  # one thread for all


# --- plain PyTorch -------------------------------------------------------------------------------------


def plain_torch(model: ModelSpec) -> Any:
    """A classifier with `lstm` and `fc`, as in any tutorial."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[model.cell]
    more = {"nonlinearity": model.options["activation"]} if model.cell == "rnn" else {}

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = kind(
                model.features,
                model.hidden,
                num_layers=model.layers,
                bidirectional=model.bidirectional,
                batch_first=True,
                **more,
            )
            self.fc = nn.Linear(model.width, model.classes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            _, state = self.lstm(x)
            h = state[0] if isinstance(state, tuple) else state
            return self.fc(torch.cat(list(h[-len(model.directions) :]), dim=1))

    plain = Classifier().double()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.normal_(0, 0.4)
    return plain


def torch_logits(plain: Any) -> np.ndarray:
    import torch

    with torch.no_grad():
        return plain(torch.tensor(sequences())).numpy()


@pytest.mark.parametrize("model", models("torch"))
def test_a_plain_torch_model_takes_our_weights(model: ModelSpec) -> None:
    weights, plain = random(model), plain_torch(model)
    state = conversions.to_torch_state_dict(weights, model, recurrent="lstm.", readout="fc.")
    plain.load_state_dict(state, strict=True)
    np.testing.assert_allclose(torch_logits(plain), reference(model, weights), rtol=RTOL)


@pytest.mark.parametrize("model", models("torch"))
def test_we_take_a_plain_torch_models_weights(model: ModelSpec) -> None:
    plain = plain_torch(model)
    state = plain.state_dict()
    weights = conversions.from_torch_state_dict(state, model, recurrent="lstm.", readout="fc.")
    assert list(weights) == list(model.shapes())
    np.testing.assert_allclose(reference(model, weights), torch_logits(plain), rtol=RTOL)


@pytest.mark.parametrize("model", models("torch"))
def test_there_and_back_is_the_same(model: ModelSpec) -> None:
    weights = random(model)
    state = conversions.to_torch_state_dict(weights, model, recurrent="lstm.", readout="fc.")
    again = conversions.from_torch_state_dict(state, model, recurrent="lstm.", readout="fc.")
    assert list(again) == list(weights)
    for name, expected in weights.items():
        np.testing.assert_array_equal(again[name], expected)


def test_a_bare_layer_and_arrays_and_other_modules_beside_it() -> None:
    from torch import nn

    model = ModelSpec("gru", 7, 4, 5, 3, layers=2)
    weights = random(model)
    layer = nn.GRU(4, 5, num_layers=2).double()
    layer.load_state_dict(conversions.to_torch_state_dict(weights, model), strict=True)
    state = {name: tensor.numpy() for name, tensor in layer.state_dict().items()}
    beside = {"embedding.weight": np.zeros((9, 4))}
    again = conversions.from_torch_state_dict({**state, **beside}, model)
    assert set(again) == {name for name in weights if name.startswith("layers.")}
    for name, found in again.items():
        np.testing.assert_array_equal(found, weights[name])


def test_what_is_handed_out_is_a_copy() -> None:
    model = ModelSpec("lstm", 7, 4, 5, 3)
    weights, plain = random(model), plain_torch(model)
    taken = conversions.from_torch_state_dict(plain.state_dict(), model, recurrent="lstm.", readout="fc.")
    before = {name: array.copy() for name, array in taken.items()}
    state = conversions.to_torch_state_dict(weights, model, recurrent="lstm.", readout="fc.")
    for tensor in (*plain.state_dict().values(), *state.values()):
        tensor.zero_()
    assert all(weights[name].any() for name in weights)
    for name, array in taken.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(("kept", "expected"), [("float32", "float32"), ("bfloat16", "float32")])
def test_a_tensors_precision_is_kept_where_numpy_has_it(kept: str, expected: str) -> None:
    import torch

    model = ModelSpec("lstm", 7, 4, 5, 3)
    state = plain_torch(model).to(getattr(torch, kept)).state_dict()
    weights = conversions.from_torch_state_dict(state, model, recurrent="lstm.", readout="fc.")
    assert {str(array.dtype) for array in weights.values()} == {expected}


# --- plain Keras ---------------------------------------------------------------------------------------


def plain_keras(model: ModelSpec) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    kind: Callable[..., Any] = {
        "rnn": layers.SimpleRNN,
        "lstm": layers.LSTM,
        "gru": layers.GRU,
        "gru_reset_before": layers.GRU,
    }[model.cell]
    more = {
        "rnn": {"activation": model.options.get("activation")},
        "gru_reset_before": {"reset_after": False},
    }
    parts: list[Any] = [keras.Input((7, model.features), dtype="float64")]
    for layer in range(model.layers):
        keywords = {**more.get(model.cell, {}), "return_sequences": layer < model.layers - 1}
        own = kind(model.hidden, dtype="float64", **keywords)
        parts.append(layers.Bidirectional(own, dtype="float64") if model.bidirectional else own)
    plain = keras.Sequential([*parts, layers.Dense(model.classes, dtype="float64")])
    rng = np.random.default_rng(9)
    plain.set_weights([rng.normal(0, 0.4, array.shape) for array in plain.get_weights()])
    return plain


def keras_logits(plain: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(plain(sequences())))


@pytest.mark.parametrize("model", models("keras"))
def test_a_plain_keras_model_takes_our_weights(model: ModelSpec) -> None:
    weights, plain = random(model), plain_keras(model)
    plain.set_weights(conversions.to_keras_weights(weights, model))
    np.testing.assert_allclose(keras_logits(plain), reference(model, weights), rtol=RTOL)


@pytest.mark.parametrize("model", models("keras"))
def test_we_take_a_plain_keras_models_weights(model: ModelSpec) -> None:
    plain = plain_keras(model)
    weights = conversions.from_keras_weights(plain.get_weights(), model)
    assert list(weights) == list(model.shapes())
    np.testing.assert_allclose(reference(model, weights), keras_logits(plain), rtol=RTOL)
    again = conversions.from_keras_weights(conversions.to_keras_weights(weights, model), model)
    for name, expected in weights.items():
        np.testing.assert_array_equal(again[name], expected)


# --- a run's own file ----------------------------------------------------------------------------------


@pytest.mark.long
def test_a_runs_file_is_a_plain_torch_models(run: Shell, results: Path) -> None:
    import torch

    done = run("backend=torch", "cell=gru", "model.layers=2", "save_weights=true")
    assert done.returncode == 0, done.stderr
    record = json.loads(next(results.glob("runs/*/*/record.json")).read_text())
    path = next(results.glob("runs/*/*/*.safetensors"))
    model = ModelSpec("gru", 28, 28, 8, 10, layers=2)
    weights = harness.store.weights.load(path, model)
    plain = plain_torch(model)
    state = harness.store.weights.to_torch_state_dict(weights, model, recurrent="lstm.", readout="fc.")
    plain.load_state_dict(state, strict=True)
    with torch.no_grad():
        logits = plain(torch.tensor(DIGITS.test.examples / 255.0)).numpy()
    accuracy = (logits.argmax(1) == DIGITS.test.labels).mean()
    assert accuracy == pytest.approx(record["test_accuracy"], abs=3e-3)  # float32 there, float64 here
    assert set(load_file(path)) == set(weights)


# --- mistakes ------------------------------------------------------------------------------------------

MODEL = ModelSpec("lstm", 7, 4, 5, 3)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(WeightsError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lstm.weight_ih_l0": np.zeros((20, 3))}, ["lstm.weight_ih_l0", "(20, 3)", "(20, 4)"]),
        ({"fc.bias": np.zeros(4)}, ["fc.bias", "(4,)", "(3,)"]),
        ({"lstm.bias_hh_l0": None}, ["lstm.bias_hh_l0", "(20,)", "missing"]),
        ({"lstm.weight_ih_l1": np.zeros((20, 5))}, ["lstm.weight_ih_l1", "(20, 5)", "none of this model's"]),
        ({"lstm.weight_hr_l0": np.zeros((2, 5))}, ["lstm.weight_hr_l0", "(2, 5)", "none of this model's"]),
        ({"lstm.bias_ih_l0": np.array(["a"] * 20)}, ["lstm.bias_ih_l0", "not numbers"]),
    ],
)
def test_a_state_dict_that_does_not_fit(change: dict[str, Any], said: list[str]) -> None:
    state = conversions.to_torch_state_dict(random(MODEL), MODEL, recurrent="lstm.", readout="fc.")
    state = {name: array for name, array in {**state, **change}.items() if array is not None}
    text = refusal(lambda: conversions.from_torch_state_dict(state, MODEL, recurrent="lstm.", readout="fc."))
    assert all(part in text for part in said), text


def test_weights_that_do_not_fit() -> None:
    weights = random(MODEL)
    wrong = {**weights, "layers.0.forward.W_hf": np.zeros((5, 6))}
    for call in (conversions.to_torch_state_dict, conversions.to_keras_weights):
        text = refusal(lambda call=call: call(wrong, MODEL))  # type: ignore[misc]
        assert all(part in text for part in ("layers.0.forward.W_hf", "(5, 6)", "(5, 5)")), text
        less = {name: w for name, w in weights.items() if name != "layers.0.forward.b_o"}
        text = refusal(lambda call=call, less=less: call(less, MODEL))  # type: ignore[misc]
        assert "layers.0.forward.b_o (5,) is missing" in text


def test_keras_weights_that_do_not_fit() -> None:
    arrays = conversions.to_keras_weights(random(MODEL), MODEL)
    other = [arrays[0], arrays[1].T.copy(), *arrays[2:]]
    text = refusal(lambda: conversions.from_keras_weights(other, MODEL))
    assert all(part in text for part in ("recurrent_kernel", "(20, 5)", "(5, 20)")), text
    assert "dense.bias (3,) is missing" in refusal(lambda: conversions.from_keras_weights(arrays[:-1], MODEL))
    text = refusal(lambda: conversions.from_keras_weights([*arrays, np.zeros(2)], MODEL))
    assert "array 5 (2,) is none of this model's" in text


def test_models_that_no_plain_layer_is() -> None:
    for model, said in (
        (ModelSpec("sru", 7, 4, 5, 3), "cell=sru"),
        (replace(MODEL, initial_state="learned"), "initial_state=learned"),
        (replace(MODEL, readout="attention"), "readout=attention"),
    ):
        text = refusal(lambda m=model: conversions.to_keras_weights(random(m), m))  # type: ignore[misc]
        assert said in text
        text = refusal(
            lambda m=model: conversions.to_torch_state_dict(random(m), m, readout="fc.")  # type: ignore[misc]
        )
        assert said in text
    attention = replace(MODEL, readout="attention")
    assert set(conversions.to_torch_state_dict(random(attention), attention)) == {
        "weight_ih_l0",
        "weight_hh_l0",
        "bias_ih_l0",
        "bias_hh_l0",
    }


def test_every_layer_named_is_one_of_the_backends() -> None:
    for framework in LAYERS:
        for cell in there(framework):
            code = (HOUSE / "backends" / framework / "cells" / f"{cell}.py").read_text("utf-8")
            assert "def fused_layer(" in code
            assert f".{LAYERS[framework][cell]}(" in code


def test_a_framework_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.backends.plain_model.find_spec", lambda name: None)
    with pytest.raises(HarnessError, match="Keras is not installed"):
        conversions.to_keras_weights(random(MODEL), MODEL)


def test_importing_the_weights_brings_no_framework() -> None:
    code = (
        "import sys, harness; harness.weights.to_torch_state_dict\n"
        "print({'torch', 'tensorflow', 'keras', 'jax', 'pandas', 'hydra'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
