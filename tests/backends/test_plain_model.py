"""Weights for plain PyTorch and Keras models, which know nothing of this project, and back.

Every one of the plain models' weights is random, both biases of each gate too.
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
from harness.backends.keras.backend import start_engine
from harness.data.dataset import load
from harness.errors import HarnessError, WeightsError
from harness.model.network import ModelSpec
from harness.store import weights as conversions
from tests.conftest import Shell
from tests.support.plain_models import (
    HOUSE,
    LAYERS,
    keras_logits,
    models,
    plain_keras,
    plain_torch,
    random,
    reference,
    sequences,
    there,
    torch_logits,
)

RTOL = 1e-9
DIGITS = load("digits", Path())


@pytest.fixture(autouse=True, scope="module")
def _tensorflow() -> None:
    """Keras starts once in a process, and keeps 64 bits on TensorFlow only."""
    start_engine("tensorflow", threads=1)("cpu", threads=1, precision="float64")  # one thread for all


# --- plain PyTorch -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("cell", there("torch"))
def test_torch_layers_without_biases(cell: str) -> None:
    options = {"activation": "tanh"} if cell == "rnn" else {}
    model = ModelSpec(cell, 7, 4, 5, 3, layers=2, bidirectional=True, options=options)
    plain = plain_torch(model, bias=False)
    weights = conversions.from_torch_state_dict(plain.state_dict(), model, recurrent="lstm.", readout="fc.")
    np.testing.assert_allclose(reference(model, weights), torch_logits(plain), rtol=RTOL)
    single = plain.float().state_dict()
    taken = conversions.from_torch_state_dict(single, model, recurrent="lstm.", readout="fc.")
    assert {str(array.dtype) for array in taken.values()} == {"float32"}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", there("torch"))
def test_the_weights_of_a_torch_cell(cell: str, bias: bool) -> None:
    import torch
    from torch import nn

    model = ModelSpec(cell, 7, 4, 5, 3, options={"activation": "tanh"} if cell == "rnn" else {})
    kind = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}[cell]
    step, fc = kind(4, 5, bias=bias).double(), nn.Linear(5, 3).double()
    state: Any = None
    with torch.no_grad():
        for parameter in step.parameters():
            parameter.normal_(0, 0.4)
        for x in torch.tensor(sequences()).unbind(1):
            state = step(x, state)
        logits = fc(state[0] if cell == "lstm" else state).numpy()
    plain = nn.ModuleDict({"steps": nn.ModuleList([step]), "fc": fc}).state_dict()
    weights = conversions.from_torch_state_dict(plain, model, recurrent="steps.0.", readout="fc.")
    np.testing.assert_allclose(reference(model, weights), logits, rtol=RTOL)


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


@pytest.mark.parametrize("biases", [(False, False, False), (True, False, True), (False, True, False)])
@pytest.mark.parametrize("cell", there("keras"))
def test_keras_layers_without_biases(cell: str, biases: tuple[bool, ...]) -> None:
    options = {"activation": "tanh"} if cell == "rnn" else {}
    model = ModelSpec(cell, 7, 4, 5, 3, layers=2, bidirectional=True, options=options)
    plain = plain_keras(model, biases)
    weights = conversions.from_keras_weights(plain.get_weights(), model)
    np.testing.assert_allclose(reference(model, weights), keras_logits(plain), rtol=RTOL)


def test_a_keras_gru_of_two_units_without_biases() -> None:
    """Its biases would have the shape of the next layer's kernel: one missing bias may be either layer's."""
    model = ModelSpec("gru", 7, 4, 2, 3, layers=2)
    plain = plain_keras(model, (False, False, True))
    weights = conversions.from_keras_weights(plain.get_weights(), model)
    np.testing.assert_allclose(reference(model, weights), keras_logits(plain), rtol=RTOL)
    arrays = plain_keras(model, (False, True, True)).get_weights()
    text = refusal(lambda: conversions.from_keras_weights(arrays, model))
    assert text == "get_weights(): 7 of 8 arrays: which layers have biases is unclear"


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


PREFIXES = {
    ("lstm", "fc."): 'lstmweight_ih_l0 (20, 4) is missing; it is there with recurrent="lstm."',
    ("", "fc."): 'weight_ih_l0 (20, 4) is missing; it is there with recurrent="lstm."',
    ("rnn.", "fc."): 'rnn.weight_ih_l0 (20, 4) is missing; it is there with recurrent="lstm."',
    ("lstm.", "fc"): 'fcweight (3, 5) is missing; it is there with readout="fc."',
    ("lstm.", "head."): 'head.weight (3, 5) is missing; it is there with readout="fc."',
}


@pytest.mark.parametrize(("recurrent", "readout"), PREFIXES)
@pytest.mark.parametrize("ending", ["_l0", ""])
def test_a_prefix_that_is_not_there(recurrent: str, readout: str, ending: str) -> None:
    state = conversions.to_torch_state_dict(random(MODEL), MODEL, recurrent="lstm.", readout="fc.")
    state = {name.replace("_l0", ending): tensor for name, tensor in state.items()}
    state |= {"embedding.weight": np.zeros((9, 4)), "norm.weight": np.zeros(5)}
    text = refusal(
        lambda: conversions.from_torch_state_dict(state, MODEL, recurrent=recurrent, readout=readout)
    )
    assert text == f"the state dict: {PREFIXES[recurrent, readout]}"


def test_cells_in_place_of_a_stack() -> None:
    from torch import nn

    stack = replace(MODEL, layers=2)
    state = nn.ModuleDict({"cells": nn.ModuleList([nn.LSTMCell(4, 5), nn.LSTMCell(5, 5)])}).state_dict()
    text = refusal(lambda: conversions.from_torch_state_dict(state, stack, recurrent="cells."))
    assert text == (
        "the state dict: cells.0.weight_ih is a name of nn.LSTMCell, which is one layer and direction of "
        "this model's 2: rename it to cells.weight_ih_l0, the others likewise, with the endings _l0, _l1"
    )


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
    assert "dense.kernel (5, 3) is missing" in refusal(
        lambda: conversions.from_keras_weights(arrays[:-2], MODEL)
    )
    both = replace(MODEL, bidirectional=True)
    *layers, _, kernel, bias = conversions.to_keras_weights(random(both), both)
    text = refusal(lambda: conversions.from_keras_weights([*layers, kernel, bias], both))  # of one direction
    assert "layers.0.backward.bias is (10, 3) there and (20,) in this model" in text
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
