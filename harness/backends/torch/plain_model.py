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
from harness.model.network import ModelSpec

TITLE = "PyTorch"
LAYERS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
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
    both. Raises WeightsError for what is missing, what is there beside it, and what has another shape.
    """
    check_convertible(model, TITLE, LAYERS, readout=readout is not None)
    cell = load_cell(model.cell)
    expected = state_dict_arrays(ones(model), model, recurrent=recurrent, readout=readout)
    stored = {name: float_array(name, state[name]) for name in expected if name in state}
    own = {
        name: tuple(np.shape(value))
        for name, value in state.items()
        for prefix in (recurrent, readout)
        if prefix is not None and name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    compare_shapes("the state dict", own, {name: array.shape for name, array in expected.items()})
    found: Weights = {}
    for prefix, _ in blocks({}, model):
        (suffix,) = suffixes(model, [prefix[:-1]])
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        packed = {name: stored[f"{recurrent}{name}{suffix}"] for name in names}
        kept = expected[f"{recurrent}bias_hh{suffix}"]  # 1 where the second bias has a meaning of its own
        packed["bias_ih"] = packed["bias_ih"] + np.where(kept, 0, packed["bias_hh"])
        found |= {f"{prefix}{name}": array for name, array in cell.unpack(packed).items()}
    if readout is not None:
        found |= {"readout.W": stored[f"{readout}weight"].T, "readout.b": stored[f"{readout}bias"]}
    return {name: np.array(found[name], order="C") for name in model.shapes() if name in found}


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
