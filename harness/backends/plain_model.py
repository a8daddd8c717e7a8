"""Canonical weights for models that know nothing of this project: what both frameworks' conversions share.

A backend's `plain_model.py` has

    TITLE, LAYERS                  the framework's name; cell -> its own recurrent layer that computes it
    READOUT_LAYER, INITIAL_STATE   its linear layer; how its layers' calls name the first state
    load_cell(cell)                the backend's file of a cell; raises Unavailable
    layer_arrays(cell, model, prefix, weights), readout_arrays(weights)   stored name -> array
    suffixes(model, prefixes)      what follows the names of each layer and direction
    layer_code(model)              the framework's layer as it is written in Python
    prepare_import()               settings for a process that imports the framework but computes nothing

and functions that convert a whole model. No framework is imported before one of them is called.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.errors import Unavailable, WeightsError
from harness.model.network import ModelSpec


def load_cell(backend: str, title: str, cell: str) -> ModuleType:
    """A backend's file of a cell; raises Unavailable where the framework or the file is missing."""
    if find_spec(backend) is None:
        raise Unavailable(f"{title} is not installed")
    if find_spec(f"harness.backends.{backend}.cells.{cell}") is None:
        raise Unavailable(f"{title} has no {cell} here")
    try:
        return import_module(f"harness.backends.{backend}.cells.{cell}")
    except ImportError as error:
        raise Unavailable(f"{title} cannot be imported: {error}") from error


def check_convertible(
    model: ModelSpec, title: str, layers: Mapping[str, str], *, readout: bool = True
) -> None:
    """Raises WeightsError for a model that the framework's own layers cannot hold."""
    if model.cell not in layers:
        known = ", ".join(f"{layer} for {cell}" for cell, layer in layers.items())
        raise WeightsError(
            f"cell={model.cell}: {title} has no recurrent layer that computes it, only {known}"
        )
    if model.learned_states():
        raise WeightsError(
            f"initial_state={model.initial_state}: {layers[model.cell]} has no weights for its first state, "
            "which is an argument of its call; convert the others with initial_state=zeros"
        )
    if readout and model.readout == "attention":
        raise WeightsError(f"readout=attention: {title} has no layer of its own for it")


def blocks(weights: Mapping[str, np.ndarray], model: ModelSpec) -> Iterator[tuple[str, Weights]]:
    """(canonical prefix with its dot, own weights) of every layer and direction."""
    for block, _ in model.blocks():
        prefix = f"{block}."
        yield prefix, {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}


def ones(model: ModelSpec) -> Weights:
    """Weights that, packed, are 1 wherever a stored number is a canonical one and 0 elsewhere."""
    return {name: np.ones(shape) for name, shape in model.shapes().items()}


def check_weights(
    weights: Mapping[str, np.ndarray], model: ModelSpec, *, readout: bool = True
) -> Mapping[str, np.ndarray]:
    """The weights; raises WeightsError for other weights than `model`'s. Without `readout` only those of the
    layers are looked at."""
    expected = model.shapes()
    if not readout:
        expected = {name: shape for name, shape in expected.items() if name.startswith("layers.")}
        weights = {name: w for name, w in weights.items() if name.startswith("layers.")}
    compare_shapes("the weights", {name: np.shape(w) for name, w in weights.items()}, expected)
    return weights


def compare_shapes(
    what: str, shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises WeightsError for the first array of another shape, else for what is missing or unknown."""
    for name, shape in expected.items():
        if name in shapes and shapes[name] != shape:
            raise WeightsError(f"{what}: {name} is {shapes[name]} there and {shape} in this model")
    for name, shape in expected.items():
        if name not in shapes:
            raise WeightsError(f"{what}: {name} {shape} is missing")
    for name, shape in shapes.items():
        if name not in expected:
            raise WeightsError(f"{what}: {name} {shape} is none of this model's")


def float_array(name: str, value: Any) -> np.ndarray:
    """A tensor or an array as an array of float32 or float64."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value if value.is_floating_point() and value.element_size() >= 4 else value.float()
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise WeightsError(f"{name} holds {array.dtype}, not numbers")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
