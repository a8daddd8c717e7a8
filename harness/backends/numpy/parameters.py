"""Canonical weights in and out of one flat vector, with the gates of a block stacked as the cell asks.

One vector holds everything that is trained, so that the optimiser is one pass over it. Its views are
feature-major: `x (Gx·H, I+1)` with the bias as the last column, `h (Gh·H, H)`, the recurrent biases
`hb (n·H,)`, and the readout `(C, D·H+1)`.
"""

import math
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import numpy as np

from harness.backends.base import Weights
from harness.model import ModelSpec


def cell_module(cell: str) -> ModuleType:
    """`harness/backends/numpy/cells/<cell>.py`."""
    return import_module(f"harness.backends.numpy.cells.{cell}")


@dataclass
class Block:
    """One direction of one layer: views into a flat vector."""

    x: np.ndarray  # (Gx·H, I+1)
    h: np.ndarray  # (Gh·H, H)
    h_bias: dict[str, np.ndarray]  # name -> (H,)


@dataclass
class Views:
    """All blocks by canonical prefix, and the readout (C, D·H+1)."""

    blocks: dict[str, Block]
    readout: np.ndarray


class Layout:
    """Where each packed array of a model lies in the flat vector of `size` numbers."""

    def __init__(self, model: ModelSpec) -> None:
        self.model = model
        self.cell = cell_module(model.cell)
        self.size = sum(math.prod(shape) for shape in model.shapes().values())

    def views(self, flat: np.ndarray) -> Views:
        """Views of a flat vector (size,); writing to them writes to it."""
        model, cell, H, offset = self.model, self.cell, self.model.hidden, 0

        def take(*shape: int) -> np.ndarray:
            nonlocal offset
            offset += math.prod(shape)
            return flat[offset - math.prod(shape) : offset].reshape(shape)

        blocks = {}
        for prefix, features in model.blocks():
            x = take(len(cell.X_GATES) * H, features + 1)
            h = take(len(cell.H_GATES) * H, H)
            blocks[prefix] = Block(x, h, {name: take(H) for name in cell.H_BIASES})
        return Views(blocks, take(model.classes, model.width + 1))

    def pack(self, weights: Weights, flat: np.ndarray) -> None:
        """Canonical weights into a flat vector (size,)."""
        views, H = self.views(flat), self.model.hidden
        for prefix, block in views.blocks.items():
            for k, gate in enumerate(self.cell.X_GATES):
                rows = slice(k * H, (k + 1) * H)
                block.x[rows, :-1] = weights[f"{prefix}.W_x{gate}"].T
                block.x[rows, -1] = weights[f"{prefix}.b_{gate}"]
            for k, gate in enumerate(self.cell.H_GATES):
                block.h[k * H : (k + 1) * H] = weights[f"{prefix}.W_h{gate}"].T
            for name, bias in block.h_bias.items():
                bias[...] = weights[f"{prefix}.{name}"]
        views.readout[:, :-1] = weights["readout.W"].T
        views.readout[:, -1] = weights["readout.b"]

    def unpack(self, flat: np.ndarray) -> Weights:
        """A flat vector (size,) as canonical weights, copied, in canonical order."""
        views, H = self.views(flat), self.model.hidden
        found: Weights = {}
        for prefix, block in views.blocks.items():
            for k, gate in enumerate(self.cell.X_GATES):
                rows = slice(k * H, (k + 1) * H)
                found[f"{prefix}.W_x{gate}"] = block.x[rows, :-1].T
                found[f"{prefix}.b_{gate}"] = block.x[rows, -1]
            for k, gate in enumerate(self.cell.H_GATES):
                found[f"{prefix}.W_h{gate}"] = block.h[k * H : (k + 1) * H].T
            for name, bias in block.h_bias.items():
                found[f"{prefix}.{name}"] = bias
        found["readout.W"] = views.readout[:, :-1].T
        found["readout.b"] = views.readout[:, -1]
        return {name: np.array(found[name], order="C") for name in self.model.shapes()}


class Factors:
    """The matrices as the forward pass multiplies them: rows of sigmoid gates halved."""

    def __init__(self, layout: Layout, views: Views) -> None:
        cell, H = layout.cell, layout.model.hidden
        self.views = views
        dtype = views.readout.dtype
        self.x_scale = _scale(cell.X_GATES, cell.HALVED, H, dtype)
        self.h_scale = _scale(cell.H_GATES, cell.HALVED, H, dtype)
        self.x = {prefix: np.empty_like(block.x) for prefix, block in views.blocks.items()}
        self.h = {prefix: np.empty_like(block.h) for prefix, block in views.blocks.items()}

    def refresh(self) -> None:
        """To be called whenever the weights have changed."""
        for prefix, block in self.views.blocks.items():
            np.multiply(block.x, self.x_scale, out=self.x[prefix])
            np.multiply(block.h, self.h_scale, out=self.h[prefix])


def _scale(gates: tuple[str, ...], halved: tuple[str, ...], hidden: int, dtype: np.dtype) -> np.ndarray:
    scale = [0.5 if gate in halved else 1.0 for gate in gates]
    return np.repeat(np.array(scale, dtype), hidden)[:, None]
