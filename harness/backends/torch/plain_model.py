"""Canonical weights for plain PyTorch models, and back.

    state = to_torch_state_dict(weights, model, recurrent="lstm.", readout="fc.")
    plain.load_state_dict(state)                                # strict
    weights = from_torch_state_dict(plain.state_dict(), model, recurrent="lstm.", readout="fc.")

Where PyTorch adds two biases and one would do, the second is zero on the way out, and the sum of both is the
canonical bias on the way in.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from harness.backends import plain_model
from harness.backends.base import Weights
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

TITLE = "PyTorch"
LAYERS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
ARRAY_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # of every such layer and direction
READOUT_LAYER = "nn.Linear"
INITIAL_STATE = "h_0"


def to_torch_state_dict(
    weights: Mapping[str, np.ndarray], model: ModelSpec, *, recurrent: str = "", readout: str | None = None
) -> dict[str, Any]:
    """Tensors for `load_state_dict`: of an `nn.LSTM`, `nn.GRU` or `nn.RNN` under the prefix `recurrent`
    ("lstm."), and of an `nn.Linear` under `readout` ("fc."), where one is named.

    Raises WeightsError for weights that are not `model`'s, and for a model that is not such a layer.
    """
    import torch

    arrays = state_dict_arrays(weights, model, recurrent=recurrent, readout=readout)
    return {name: torch.tensor(array) for name, array in arrays.items()}


def state_dict_arrays(
    weights: Mapping[str, np.ndarray], model: ModelSpec, *, recurrent: str = "", readout: str | None = None
) -> Weights:
    """The same, before they become tensors: stored name -> array, layer by layer, forward first."""
    check_convertible(model, TITLE, LAYERS, readout=readout is not None)
    cell = load_cell(model.cell)
    found: Weights = {}
    for prefix, own in blocks(check_weights(weights, model, readout=readout is not None), model):
        arrays = layer_arrays(cell, model, prefix[:-1], own)
        found |= {f"{recurrent}{name}": array for name, array in arrays.items()}
    if readout is not None:
        found |= {f"{readout}{name}": array for name, array in readout_arrays(weights).items()}
    return {name: np.array(array, order="C") for name, array in found.items()}


def from_torch_state_dict(
    state: Mapping[str, Any], model: ModelSpec, *, recurrent: str = "", readout: str | None = None
) -> Weights:
    """The canonical weights in a state dict: the layers' from below the prefix `recurrent`, and the
    readout's from below `readout`, where one is named. What lies below other prefixes is not looked at.

    The two biases of a gate are summed where that is the same mathematics; the candidate of a GRU keeps
    both. The biases of a layer made with `bias=False` are zeros. For one layer and direction the names of
    `nn.LSTMCell`, `nn.GRUCell` and `nn.RNNCell` are taken too. Raises WeightsError for what is missing,
    what is there beside it, and what has another shape.
    """
    check_convertible(model, TITLE, LAYERS, readout=readout is not None)
    cell = load_cell(model.cell)
    expected = state_dict_arrays(ones(model), model, recurrent=recurrent, readout=readout)
    prefixes = [recurrent] if readout is None else [recurrent, readout]
    first = ("weight_ih_l0", "weight_ih")[: 2 if len(model.blocks()) == 1 else 1]
    for key, prefix, names in zip(("recurrent", "readout"), prefixes, (first, ("weight",)), strict=False):
        _check_prefix(state, key, prefix, names, expected[f"{prefix}{names[0]}"].shape)
    state = _layer_names(state, model, recurrent)
    stored = {name: float_array(name, state[name]) for name in expected if name in state}
    own = {
        name: tuple(np.shape(value))
        for name, value in state.items()
        for prefix in prefixes
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    absent = [  # of a layer made with bias=False
        name
        for bias in (f"{prefix}bias" for prefix in prefixes)
        if not any(other.startswith(bias) for other in own)
        for name in expected
        if name.startswith(bias)
    ]
    shapes = {name: array.shape for name, array in expected.items()}
    compare_shapes("the state dict", own, {n: shape for n, shape in shapes.items() if n not in absent})
    dtype = stored[f"{recurrent}weight_ih_l0"].dtype
    stored |= {name: np.zeros(shapes[name], dtype) for name in absent}
    found: Weights = {}
    for prefix, _ in blocks({}, model):
        (suffix,) = suffixes(model, [prefix[:-1]])
        packed = {name: stored[f"{recurrent}{name}{suffix}"] for name in ARRAY_NAMES}
        kept = expected[f"{recurrent}bias_hh{suffix}"]  # 1 where the second bias has a meaning of its own
        packed["bias_ih"] = packed["bias_ih"] + np.where(kept, 0, packed["bias_hh"])
        found |= {f"{prefix}{name}": array for name, array in cell.unpack(packed).items()}
    if readout is not None:
        found |= {"readout.W": stored[f"{readout}weight"].T, "readout.b": stored[f"{readout}bias"]}
    return {name: np.array(found[name], order="C") for name in model.shapes() if name in found}


def _layer_names(state: Mapping[str, Any], model: ModelSpec, recurrent: str) -> Mapping[str, Any]:
    """The state dict of an `nn.LSTMCell` with the names of `nn.LSTM`, which end in `_l0`.

    Raises WeightsError for such cells in a model of several layers or directions.
    """
    first = f"{recurrent}weight_ih_l0"
    cells = [name for name in state if name.startswith(recurrent) and f".{name}".endswith(".weight_ih")]
    if first in state or not cells:
        return state
    if len(model.blocks()) > 1:
        raise WeightsError(
            f"the state dict: {cells[0]} is a name of nn.{LAYERS[model.cell]}Cell, which is one layer and "
            f"direction of this model's {len(model.blocks())}: rename it to {first}, the others likewise, "
            f"with the endings {', '.join(suffixes(model, [block for block, _ in model.blocks()]))}"
        )
    renamed = {f"{recurrent}{name}": f"{recurrent}{name}_l0" for name in ARRAY_NAMES}
    return {renamed.get(name, name): value for name, value in state.items()}


def _check_prefix(
    state: Mapping[str, Any], key: str, prefix: str, names: Sequence[str], shape: tuple[int, ...]
) -> None:
    """Raises WeightsError where none of `names` is below `prefix`, but one is below `prefix` with a dot, or
    below another prefix in the right shape."""
    if any(f"{prefix}{name}" in state for name in names):
        return
    others = {
        stored.removesuffix(name): np.shape(value)
        for stored, value in state.items()
        for name in names
        if f".{stored}".endswith(f".{name}")
    }
    fitting = [other for other, found in others.items() if other == f"{prefix}." or found == shape]
    if fitting:
        raise WeightsError(
            f"the state dict: {prefix}{names[0]} {shape} is missing; it is there with "
            + " or ".join(f'{key}="{other}"' for other in fitting)
        )


def load_cell(cell: str) -> ModuleType:
    return plain_model.load_cell("torch", TITLE, cell)


def layer_arrays(cell: ModuleType, model: ModelSpec, prefix: str, weights: Weights) -> Weights:
    """What PyTorch stores for one layer and direction, with its suffix where the layer is PyTorch's own."""
    suffix = suffixes(model, [prefix])[0] if model.cell in LAYERS else ""
    return {f"{name}{suffix}": array for name, array in cell.pack(weights).items()}


def readout_arrays(weights: Mapping[str, np.ndarray]) -> Weights:
    """The readout as `nn.Linear` stores it: weight (C, D·H), bias (C,)."""
    return {"weight": weights["readout.W"].T, "bias": weights["readout.b"]}


def suffixes(model: ModelSpec, prefixes: Sequence[str]) -> list[str]:
    """What PyTorch puts behind the names of these layers and directions: `_l0`, `_l0_reverse`, …"""
    if model.cell not in LAYERS:
        return []
    order = [block for block, _ in model.blocks()]
    directions = ("", "_reverse")[: len(model.directions)]
    every = [f"_l{layer}{direction}" for layer in range(model.layers) for direction in directions]
    return [every[order.index(prefix)] for prefix in prefixes]


def layer_code(model: ModelSpec) -> str:
    arguments = [f"{model.features}", f"{model.hidden}"]
    arguments += [f"num_layers={model.layers}"] * (model.layers > 1)
    arguments += ["bidirectional=True"] * model.bidirectional
    if model.options.get("activation", "tanh") != "tanh":
        arguments.append(f"nonlinearity={model.options['activation']!r}")
    return f"nn.{LAYERS[model.cell]}({', '.join(arguments)})"


def prepare_import() -> None:
    """PyTorch needs no settings before it is imported."""
