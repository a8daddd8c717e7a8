"""Between canonical weights and what Keras stores, for a whole model. Gate order is the cell's alone."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from harness.backends.base import Weights
from harness.model import ModelSpec


def pack(model: ModelSpec, cell: ModuleType, weights: Weights) -> list[np.ndarray]:
    """Canonical weights as a flat list: every layer and direction as Keras stores it, then the readout."""
    packed: list[np.ndarray] = []
    for prefix, _ in model.blocks():
        start = f"{prefix}."
        packed += cell.pack({n.removeprefix(start): w for n, w in weights.items() if n.startswith(start)})
    return [*packed, weights["readout.W"], weights["readout.b"]]


def unpack(model: ModelSpec, cell: ModuleType, params: Sequence[np.ndarray]) -> Weights:
    """The inverse of `pack`, in canonical order; for weights and for gradients."""
    *packed, W, b = params
    blocks = model.blocks()
    each = len(packed) // len(blocks)
    found = {"readout.W": W, "readout.b": b}
    for index, (prefix, _) in enumerate(blocks):
        own = cell.unpack(packed[index * each : (index + 1) * each])
        found |= {f"{prefix}.{name}": array for name, array in own.items()}
    return {name: found[name].copy() for name in model.shapes()}


def trained(model: ModelSpec, cell: ModuleType) -> list[np.ndarray | None]:
    """For every stored array: True where it is trained, False where a redundant bias stays zero;
    None where all of it is trained."""
    ones = {name: np.ones(shape, np.bool_) for name, shape in model.shapes().items()}
    return [None if mask.all() else mask for mask in pack(model, cell, ones)]
