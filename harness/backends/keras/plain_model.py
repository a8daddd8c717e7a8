"""Canonical weights for plain Keras models, and back.

    plain.set_weights(to_keras_weights(weights, model))
    weights = from_keras_weights(plain.get_weights(), model)

Where Keras adds two biases and one would do, the second is zero on the way out, and the sum of both is the
canonical bias on the way in.
"""

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from types import ModuleType

import numpy as np

from harness.backends import plain_model
from harness.backends.base import Weights
from harness.backends.keras import DEFAULT_ENGINE, ENGINES
from harness.backends.plain_model import (
    blocks,
    check_convertible,
    check_weights,
    compare_shapes,
    float_array,
    ones,
)
from harness.errors import WeightsError
from harness.model.network import ModelSpec

TITLE = "Keras"
LAYERS = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU"}
READOUT_LAYER = "Dense"
INITIAL_STATE = "initial_state"
ARRAY_NAMES = ("kernel", "recurrent_kernel", "bias")  # of every such layer, in their order


def to_keras_weights(weights: Mapping[str, np.ndarray], model: ModelSpec) -> list[np.ndarray]:
    """Arrays for `set_weights` of a plain Keras model: layer by layer, of a `Bidirectional` the forward
    one first, and then a `Dense`.

    Raises WeightsError for weights that are not `model`'s, and for a model that is no such stack.
    """
    check_convertible(model, TITLE, LAYERS)
    cell = load_cell(model.cell)
    found: list[np.ndarray] = []
    for _, own in blocks(check_weights(weights, model), model):
        found += cell.pack(own)
    found += readout_arrays(weights).values()
    return [np.array(array, order="C") for array in found]


def from_keras_weights(arrays: Sequence[np.ndarray], model: ModelSpec) -> Weights:
    """The canonical weights in what `get_weights()` of a plain Keras model returns.

    The two biases of a gate are summed where that is the same mathematics: those of r and z of a GRU that
    resets after the product. The biases of a layer made with `use_bias=False` are zeros. Raises WeightsError
    for arrays that are not such a model's.
    """
    check_convertible(model, TITLE, LAYERS)
    cell = load_cell(model.cell)
    expected = to_keras_weights(ones(model), model)
    shapes = {name: array.shape for name, array in zip(array_names(model), expected, strict=True)}
    names = _stored_names(model, shapes, [np.shape(array) for array in arrays])
    there = {name: float_array(name, array) for name, array in zip(names, arrays, strict=True)}
    dtype = there[names[0]].dtype
    stored = [there[name] if name in there else np.zeros(shape, dtype) for name, shape in shapes.items()]
    each = (len(stored) - 2) // len(model.blocks())
    found: Weights = {"readout.W": stored[-2], "readout.b": stored[-1]}
    for number, (prefix, _) in enumerate(blocks({}, model)):
        *matrices, bias = stored[number * each : (number + 1) * each]
        if bias.ndim == 2:  # one row is added to x W_x, the other to h W_h
            kept = expected[number * each + len(matrices)][1]
            bias = np.stack([bias[0] + np.where(kept, 0, bias[1]), np.where(kept, bias[1], 0)])
        found |= {f"{prefix}{name}": array for name, array in cell.unpack([*matrices, bias]).items()}
    return {name: np.array(found[name], order="C") for name in model.shapes()}


def _stored_names(
    model: ModelSpec, shapes: Mapping[str, tuple[int, ...]], found: Sequence[tuple[int, ...]]
) -> list[str]:
    """What arrays of the shapes `found` are, of all that a model has; a layer may be without its biases.

    Raises WeightsError where they are no such model's, or it cannot be told which layer has biases.
    """
    names = list(shapes)
    each = len(ARRAY_NAMES) * len(model.directions)
    layers = [names[start : start + each] for start in range(0, len(names) - 2, each)] + [names[-2:]]
    readings: list[list[str]] = [[]]  # every way to read the first layers
    for layer in layers:
        readings = [
            [*reading, *own]
            for reading in readings
            for own in (layer, [name for name in layer if not name.endswith("bias")])
            if [shapes[name] for name in own] == [*found[len(reading) : len(reading) + len(own)]]
        ]
    readings = [reading for reading in readings if len(reading) == len(found)]
    if not readings:
        theirs = [f"array {n}" for n in range(len(names), len(found))]
        compare_shapes("get_weights()", dict(zip([*names, *theirs], found, strict=False)), shapes)
    if len(readings) > 1:
        raise WeightsError(
            f"get_weights(): {len(found)} of {len(names)} arrays: which layers have biases is unclear"
        )
    return readings[0]


def load_cell(cell: str) -> ModuleType:
    return plain_model.load_cell("keras", TITLE, cell)


def array_names(model: ModelSpec) -> list[str]:
    """What the arrays of `get_weights()` are, in their order; for messages and tables."""
    blocks = [f"{prefix}." for prefix, _ in model.blocks()] if len(model.blocks()) > 1 else [""]
    return [*(f"{block}{name}" for block in blocks for name in ARRAY_NAMES), "dense.kernel", "dense.bias"]


def layer_arrays(cell: ModuleType, model: ModelSpec, prefix: str, weights: Weights) -> Weights:
    """What Keras stores for one layer and direction, under its names where the layer is Keras' own."""
    own = model.cell in LAYERS
    return {ARRAY_NAMES[n] if own else f"array {n}": array for n, array in enumerate(cell.pack(weights))}


def readout_arrays(weights: Mapping[str, np.ndarray]) -> Weights:
    """The readout as `Dense` stores it: kernel (D·H, C), bias (C,)."""
    return {"kernel": weights["readout.W"], "bias": weights["readout.b"]}


def suffixes(model: ModelSpec, prefixes: Sequence[str]) -> list[str]:
    """Keras gives the arrays of all layers and directions the same names."""
    return []


def layer_code(model: ModelSpec) -> str:
    arguments = [f"{model.hidden}"]
    if model.options.get("activation", "tanh") != "tanh":
        arguments.append(f"activation={model.options['activation']!r}")
    arguments += ["reset_after=False"] * (model.cell == "gru_reset_before")
    code = f"{LAYERS[model.cell]}({', '.join(arguments)})"
    if model.bidirectional:
        code = f"Bidirectional({code})"
    return code + (f", {model.layers} of them" if model.layers > 1 else "")


def prepare_import() -> None:
    """Lets Keras start quietly on the engine that is quickest to import, usually the last."""
    os.environ["KERAS_BACKEND"] = next(filter(find_spec, reversed(ENGINES)), DEFAULT_ENGINE)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
