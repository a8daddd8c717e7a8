"""Canonical weights in and out of one flat vector, with the gates of a block stacked as the cell asks.

One vector holds everything that is trained, so that the optimiser is one pass over it. A block is one
direction of one layer; its views are feature-major: `x (Gx·H, I+1)` with the bias as the last column and
`h (Gh·H, H)`. Every other parameter keeps its canonical shape and name.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from types import ModuleType

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.gates import gates_of
from harness.model.cell import Shape
from harness.model.network import ModelSpec


def cell_module(cell: str) -> ModuleType:
    """`harness/backends/numpy/cells/<cell>.py`."""
    return import_module(f"harness.backends.numpy.cells.{cell}")


@dataclass
class Block:
    """One direction of one layer: views into a flat vector."""

    joint: np.ndarray  # (G·H, I+1+H), x and h side by side where they have the same gates; else empty
    x: np.ndarray  # (Gx·H, I+1), the last column the bias
    h: np.ndarray  # (Gh·H, H)
    own: Weights  # the cell's other parameters and its learned initial states, canonical


@dataclass
class Views:
    """All blocks by canonical prefix, and the readout."""

    blocks: dict[str, Block]
    attention: Weights  # W (DH, A), b, v (A,), or nothing
    readout: np.ndarray  # (C, D·H+1)


class Layout:
    """Where each packed array of a model lies in the flat vector of `size` numbers.

    `mask` is 1 where a number is trained and 0 where it stays as it is (a frozen parameter, the bias of
    a gate that has none); None where everything is trained.
    """

    def __init__(self, model: ModelSpec) -> None:
        self.model = model
        self.cell = cell_module(model.cell)
        self.gates = gates_of(self.cell, model.spec)
        self.size = sum(math.prod(shape) for _, _, shape in self._arrays())
        mask = np.zeros(self.size)
        ones = {name: np.full(shape, float(param.trained)) for name, (param, shape) in model.params().items()}
        self.pack(ones, mask)
        self.mask = None if mask.all() else mask

    def views(self, flat: np.ndarray) -> Views:
        """Views of a flat vector (size,); writing to them writes to it."""
        arrays_of: dict[str, dict[str, np.ndarray]] = {}
        offset = 0
        for place, name, shape in self._arrays():
            size = math.prod(shape)
            arrays_of.setdefault(place, {})[name] = flat[offset : offset + size].reshape(shape)
            offset += size
        blocks = {}
        for prefix, features in self.model.blocks():
            arrays = arrays_of[prefix]
            both = arrays.pop("x·h")
            x, h = both[:, : features + 1], both[:, features + 1 :]
            if not self.gates.joint:
                x, h = arrays.pop("x·"), arrays.pop("h·")
            blocks[prefix] = Block(both, x, h, arrays)
        return Views(blocks, arrays_of.get("attention", {}), arrays_of["readout"]["W"])

    def pack(self, weights: Weights, flat: np.ndarray) -> None:
        """Canonical weights into a flat vector (size,)."""
        views, H = self.views(flat), self.model.hidden
        for prefix, block in views.blocks.items():
            for k, gate in enumerate(self.gates.x):
                rows = slice(k * H, (k + 1) * H)
                block.x[rows, :-1] = weights[f"{prefix}.W_x{gate}"].T
                block.x[rows, -1] = weights.get(f"{prefix}.b_{gate}", 0)
            for k, gate in enumerate(self.gates.h):
                block.h[k * H : (k + 1) * H] = weights[f"{prefix}.W_h{gate}"].T
            for name, array in block.own.items():
                array[...] = weights[f"{prefix}.{name}"]
        for name, array in views.attention.items():
            array[...] = weights[f"attention.{name}"]
        views.readout[:, :-1] = weights["readout.W"].T
        views.readout[:, -1] = weights["readout.b"]

    def unpack(self, flat: np.ndarray) -> Weights:
        """A flat vector (size,) as canonical weights, copied, in canonical order."""
        views, H = self.views(flat), self.model.hidden
        weights: Weights = {}
        for prefix, block in views.blocks.items():
            for k, gate in enumerate(self.gates.x):
                rows = slice(k * H, (k + 1) * H)
                weights[f"{prefix}.W_x{gate}"] = block.x[rows, :-1].T
                weights[f"{prefix}.b_{gate}"] = block.x[rows, -1]
            for k, gate in enumerate(self.gates.h):
                weights[f"{prefix}.W_h{gate}"] = block.h[k * H : (k + 1) * H].T
            weights |= {f"{prefix}.{name}": array for name, array in block.own.items()}
        weights |= {f"attention.{name}": array for name, array in views.attention.items()}
        weights["readout.W"] = views.readout[:, :-1].T
        weights["readout.b"] = views.readout[:, -1]
        return {name: np.array(weights[name], order="C") for name in self.model.shapes()}

    def _arrays(self) -> Iterator[tuple[str, str, Shape]]:
        """(block or head, name, shape) of every packed array, in the flat vector's order."""
        model, gates, H = self.model, self.gates, self.model.hidden
        stacked = {f"{kind}{gate}" for gate in gates.x for kind in ("W_x", "b_")}
        stacked |= {f"W_h{gate}" for gate in gates.h}
        shapes = model.shapes()
        for prefix, features in model.blocks():
            if gates.joint:
                yield prefix, "x·h", (len(gates.x) * H, features + 1 + H)
            else:
                yield prefix, "x·h", (0, features + 1 + H)
                yield prefix, "x·", (len(gates.x) * H, features + 1)
                yield prefix, "h·", (len(gates.h) * H, H)
            for name, shape in shapes.items():
                own = name.removeprefix(f"{prefix}.")
                if own != name and own not in stacked:
                    yield prefix, own, shape
        for name, shape in shapes.items():
            if name.startswith("attention."):
                yield "attention", name.removeprefix("attention."), shape
        yield "readout", "W", (model.classes, model.width + 1)


@dataclass
class Forward:
    """The matrices of one block as the forward pass multiplies them."""

    x: np.ndarray  # ((Gx-shared)·H, I+1), of the gates that are not shared
    step: np.ndarray  # (Gh·H, I+1+H), for [x; 1; h]; rows of halved gates halved


class Factors:
    """The weights, and of each block the copies that the forward pass multiplies."""

    def __init__(self, layout: Layout, views: Views) -> None:
        self.gates, self.H, self.views = layout.gates, layout.model.hidden, views
        self.unshared_rows = (len(self.gates.x) - self.gates.shared) * self.H
        self.scales = _scales(self.gates.h, self.gates.halved, self.H)
        self.blocks = {
            prefix: Forward(
                block.x[: self.unshared_rows],
                np.zeros((len(block.h), block.x.shape[1] + self.H), views.readout.dtype),
            )
            for prefix, block in views.blocks.items()
        }

    def refresh(self) -> None:
        """To be called whenever the weights have changed."""
        for prefix, block in self.views.blocks.items():
            step, features = self.blocks[prefix].step, block.x.shape[1] - 1
            for rows, scale in self.scales:
                if block.joint.size:
                    np.multiply(block.joint[rows], scale, out=step[rows])
                    continue
                np.multiply(block.h[rows], scale, out=step[rows, features + 1 :])
                x = block.x[self.unshared_rows :][rows]
                np.multiply(x, scale, out=step[rows, : features + 1][: len(x)])
            for name, k in self.gates.h_biases.items():
                step[k * self.H : (k + 1) * self.H, features] = block.own[name]


def _scales(gates: tuple[str, ...], halved: tuple[str, ...], hidden: int) -> list[tuple[slice, float]]:
    """What the rows of stacked gates are multiplied by: ½ for halved ones; neighbours in one slice."""
    scales, first = [], 0
    for half, run in groupby(gate in halved for gate in gates):
        rows = len(list(run)) * hidden
        scales.append((slice(first, first + rows), 0.5 if half else 1.0))
        first += rows
    return scales
