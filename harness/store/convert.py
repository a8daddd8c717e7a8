"""Canonical weights for models that know nothing of this project, and back: plain PyTorch, plain Keras.

    state = to_torch_state_dict(weights, model, recurrent="lstm.", readout="fc.")
    plain.load_state_dict(state)                                # strict
    weights = from_torch_state_dict(plain.state_dict(), model, recurrent="lstm.", readout="fc.")

    plain.set_weights(to_keras_weights(weights, model))
    weights = from_keras_weights(plain.get_weights(), model)

Where a framework adds two biases and one would do, the second is zero on the way out, and the sum of both
is the canonical bias on the way in. No framework is imported before a function is called.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.errors import Unavailable, WeightsError
from harness.model.network import ModelSpec

# the cells that a framework has a recurrent layer of its own for
LAYERS: Mapping[str, Mapping[str, str]] = {
    "torch": {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"},
    "keras": {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU"},
}
TITLES = {"torch": "PyTorch", "keras": "Keras"}
KERAS_NAMES = ("kernel", "recurrent_kernel", "bias")  # of every such layer of Keras, in their order


def to_torch_state_dict(
    weights: Mapping[str, np.ndarray], model: ModelSpec, *, recurrent: str = "", readout: str | None = None
) -> dict[str, Any]:
    """Tensors for `load_state_dict`: of an `nn.LSTM`, `nn.GRU` or `nn.RNN` under the prefix `recurrent`
    ("lstm."), and of an `nn.Linear` under `readout` ("fc."), where one is named.

    Raises WeightsError for weights that are not `model`'s, and for a model that is not such a layer.
    """
    import torch

    arrays = torch_arrays(weights, model, recurrent=recurrent, readout=readout)
    return {name: torch.tensor(array) for name, array in arrays.items()}


def torch_arrays(
    weights: Mapping[str, np.ndarray], model: ModelSpec, *, recurrent: str = "", readout: str | None = None
) -> Weights:
    """The same, before they become tensors: stored name -> array, layer by layer, forward first."""
    cell = stock_cell("torch", model, linear=readout is not None)
    found: Weights = {}
    for _, suffix, own in _blocks(_checked(weights, model, linear=readout is not None), model):
        found |= {f"{recurrent}{name}{suffix}": array for name, array in cell.pack(own).items()}
    if readout is not None:
        found |= {f"{readout}{name}": array for name, array in torch_readout(weights).items()}
    return {name: np.array(array, order="C") for name, array in found.items()}


def from_torch_state_dict(
    state: Mapping[str, Any], model: ModelSpec, *, recurrent: str = "", readout: str | None = None
) -> Weights:
    """The canonical weights in a state dict: the layers' from below the prefix `recurrent`, and the
    readout's from below `readout`, where one is named. What lies below other prefixes is not looked at.

    The two biases of a gate are summed where that is the same mathematics; the candidate of a GRU keeps
    both. Raises WeightsError for what is missing, what is there beside it, and what has another shape.
    """
    cell = stock_cell("torch", model, linear=readout is not None)
    expected = torch_arrays(_ones(model), model, recurrent=recurrent, readout=readout)
    stored = {name: _array(name, state[name]) for name in expected if name in state}
    own = {
        name: tuple(np.shape(value))
        for name, value in state.items()
        for prefix in (recurrent, readout)
        if prefix is not None and name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    _compare("the state dict", own, {name: array.shape for name, array in expected.items()})
    found: Weights = {}
    for prefix, suffix, _ in _blocks({}, model):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        packed = {name: stored[f"{recurrent}{name}{suffix}"] for name in names}
        kept = expected[f"{recurrent}bias_hh{suffix}"]  # 1 where the second bias has a meaning of its own
        packed["bias_ih"] = packed["bias_ih"] + np.where(kept, 0, packed["bias_hh"])
        found |= {f"{prefix}{name}": array for name, array in cell.unpack(packed).items()}
    if readout is not None:
        found |= {"readout.W": stored[f"{readout}weight"].T, "readout.b": stored[f"{readout}bias"]}
    return {name: np.array(found[name], order="C") for name in model.shapes() if name in found}


def to_keras_weights(weights: Mapping[str, np.ndarray], model: ModelSpec) -> list[np.ndarray]:
    """Arrays for `set_weights` of a plain Keras model: layer by layer, of a `Bidirectional` the forward
    one first, and then a `Dense`.

    Raises WeightsError for weights that are not `model`'s, and for a model that is no such stack.
    """
    cell = stock_cell("keras", model)
    found: list[np.ndarray] = []
    for _, _, own in _blocks(_checked(weights, model), model):
        found += cell.pack(own)
    found += keras_readout(weights).values()
    return [np.array(array, order="C") for array in found]


def from_keras_weights(arrays: Sequence[np.ndarray], model: ModelSpec) -> Weights:
    """The canonical weights in what `get_weights()` of a plain Keras model returns.

    The two biases of a gate are summed where that is the same mathematics: those of r and z of a GRU that
    resets after the product. Raises WeightsError for arrays that are not such a model's.
    """
    cell = stock_cell("keras", model)
    expected = to_keras_weights(_ones(model), model)
    names = keras_names(model)
    shapes = {name: array.shape for name, array in zip(names, expected, strict=True)}
    theirs = [f"array {n}" for n in range(len(names), len(arrays))]
    _compare(
        "get_weights()",
        {name: np.shape(array) for name, array in zip([*names, *theirs], arrays, strict=False)},
        shapes,
    )
    stored = [_array(name, array) for name, array in zip(names, arrays, strict=True)]
    each = (len(stored) - 2) // len(model.blocks())
    found: Weights = {"readout.W": stored[-2], "readout.b": stored[-1]}
    for number, (prefix, _, _) in enumerate(_blocks({}, model)):
        *matrices, bias = stored[number * each : (number + 1) * each]
        if bias.ndim == 2:  # one row is added to x W_x, the other to h W_h
            kept = expected[number * each + len(matrices)][1]
            bias = np.stack([bias[0] + np.where(kept, 0, bias[1]), np.where(kept, bias[1], 0)])
        found |= {f"{prefix}{name}": array for name, array in cell.unpack([*matrices, bias]).items()}
    return {name: np.array(found[name], order="C") for name in model.shapes()}


def keras_names(model: ModelSpec) -> list[str]:
    """What the arrays of `get_weights()` are, in their order; for messages and tables."""
    blocks = [f"{prefix}." for prefix, _ in model.blocks()] if len(model.blocks()) > 1 else [""]
    return [*(f"{block}{name}" for block in blocks for name in KERAS_NAMES), "dense.kernel", "dense.bias"]


def torch_readout(weights: Mapping[str, np.ndarray]) -> Weights:
    """The readout as `nn.Linear` stores it: weight (C, D·H), bias (C,)."""
    return {"weight": weights["readout.W"].T, "bias": weights["readout.b"]}


def keras_readout(weights: Mapping[str, np.ndarray]) -> Weights:
    """The readout as `Dense` stores it: kernel (D·H, C), bias (C,)."""
    return {"kernel": weights["readout.W"], "bias": weights["readout.b"]}


def torch_suffixes(model: ModelSpec) -> list[str]:
    """What PyTorch puts behind the names of every layer and direction: `_l0`, `_l0_reverse`, …"""
    ways = ("", "_reverse")[: len(model.directions)]
    return [f"_l{layer}{way}" for layer in range(model.layers) for way in ways]


def cell_module(framework: str, cell: str) -> ModuleType:
    """The cell's file for a framework; raises Unavailable where either is not here."""
    if find_spec(framework) is None:
        raise Unavailable(f"{TITLES[framework]} is not installed")
    if find_spec(f"harness.backends.{framework}.cells.{cell}") is None:
        raise Unavailable(f"{TITLES[framework]} has no {cell} here")
    try:
        return import_module(f"harness.backends.{framework}.cells.{cell}")
    except ImportError as error:
        raise Unavailable(f"{TITLES[framework]} cannot be imported: {error}") from error


def stock_cell(framework: str, model: ModelSpec, *, linear: bool = True) -> ModuleType:
    """The cell's file, for a model that a plain one of this framework can be; raises WeightsError."""
    title = TITLES[framework]
    if model.cell not in LAYERS[framework]:
        known = ", ".join(f"{layer} for {cell}" for cell, layer in LAYERS[framework].items())
        raise WeightsError(
            f"cell={model.cell}: {title} has no recurrent layer that computes it, only {known}"
        )
    layer = LAYERS[framework][model.cell]
    if model.learned_states():
        raise WeightsError(
            f"initial_state={model.initial_state}: {layer} has no weights for its first state, which is an "
            "argument of its call; convert the others with initial_state=zeros"
        )
    if linear and model.readout == "attention":
        raise WeightsError(f"readout=attention: {title} has no layer of its own for it")
    return cell_module(framework, model.cell)


def _blocks(weights: Mapping[str, np.ndarray], model: ModelSpec) -> Iterator[tuple[str, str, Weights]]:
    """(canonical prefix with its dot, PyTorch's suffix, own weights) of every layer and direction."""
    for (block, _), suffix in zip(model.blocks(), torch_suffixes(model), strict=True):
        prefix = f"{block}."
        own = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
        yield prefix, suffix, own


def _ones(model: ModelSpec) -> Weights:
    """Weights that, packed, are 1 wherever a stored number is a canonical one and 0 elsewhere."""
    return {name: np.ones(shape) for name, shape in model.shapes().items()}


def _checked(
    weights: Mapping[str, np.ndarray], model: ModelSpec, *, linear: bool = True
) -> Mapping[str, np.ndarray]:
    """The weights, which are `model`'s; without a linear readout the layers' alone are enough."""
    expected = model.shapes()
    if not linear:
        expected = {name: shape for name, shape in expected.items() if name.startswith("layers.")}
        weights = {name: w for name, w in weights.items() if name.startswith("layers.")}
    _compare("the weights", {name: np.shape(w) for name, w in weights.items()}, expected)
    return weights


def _compare(
    what: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises WeightsError for the first array of another shape, else for what is missing or unknown."""
    for name, shape in expected.items():
        if name in found and found[name] != shape:
            raise WeightsError(f"{what}: {name} is {found[name]} there and {shape} in this model")
    for name, shape in expected.items():
        if name not in found:
            raise WeightsError(f"{what}: {name} {shape} is missing")
    for name, shape in found.items():
        if name not in expected:
            raise WeightsError(f"{what}: {name} {shape} is none of this model's")


def _array(name: str, value: Any) -> np.ndarray:
    """A tensor or an array as an array of float32 or float64."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value if value.is_floating_point() and value.element_size() >= 4 else value.float()
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise WeightsError(f"{name} holds {array.dtype}, not numbers")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
