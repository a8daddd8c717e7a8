"""Between canonical weights and what Keras stores, for a whole model. Gate order is the cell's alone.

What is stored is one flat list: for every layer and direction what the cell's `pack` gives and the
learned starts of its states, then the attention's W, b, v where there is one, then the readout's W, b.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from harness.backends.base import Weights
from harness.model.network import READOUT, ModelSpec


class Parts(NamedTuple):
    """A stored list, cut up: tensors or arrays."""

    cells: list[Sequence[Any]]  # of every layer and direction: what the cell's `pack` gives
    starts: list[dict[str, Any]]  # of every layer and direction: state name -> its learned start (length,)
    head: dict[str, Any]  # "readout.W", …


def split(model: ModelSpec, params: Sequence[Any]) -> Parts:
    """Cuts a stored list up."""
    names, learned = _head(model), model.learned_states()
    end = len(params) - len(names)
    each = end // len(model.blocks())
    blocks = [params[k : k + each] for k in range(0, end, each)]
    own = each - len(learned)
    return Parts(
        [block[:own] for block in blocks],
        [dict(zip(learned, block[own:], strict=True)) for block in blocks],
        dict(zip(names, params[end:], strict=True)),
    )


def pack(model: ModelSpec, cell: ModuleType, weights: Weights) -> list[np.ndarray]:
    """Canonical weights as a flat list."""
    packed: list[np.ndarray] = []
    for prefix, _ in model.blocks():
        start = f"{prefix}."
        own = {n.removeprefix(start): w for n, w in weights.items() if n.startswith(start)}
        packed += [*cell.pack(own), *(own[f"initial_{name}"] for name in model.learned_states())]
    return packed + [weights[name] for name in _head(model)]


def unpack(model: ModelSpec, cell: ModuleType, params: Sequence[np.ndarray]) -> Weights:
    """The inverse of `pack`, in canonical order; for weights and for gradients."""
    parts = split(model, params)
    weights = dict(parts.head)
    for (prefix, _), packed, starts in zip(model.blocks(), parts.cells, parts.starts, strict=True):
        own = cell.unpack(packed) | {f"initial_{name}": start for name, start in starts.items()}
        weights |= {f"{prefix}.{name}": array for name, array in own.items()}
    return {name: weights[name].copy() for name in model.shapes()}


def trained(model: ModelSpec, cell: ModuleType) -> list[np.ndarray | None]:
    """For every stored array: True where it is trained, False where a redundant bias stays zero or a
    weight stays as it is; None where all of it is trained."""
    ones = {name: np.full(shape, param.trained) for name, (param, shape) in model.params().items()}
    return [None if mask.all() else mask for mask in pack(model, cell, ones)]


def _head(model: ModelSpec) -> list[str]:
    return list(READOUT[model.readout == "attention"])
