"""Cells without a step, which read a sequence at once: a delay line, a tree, a flat layer.

See `sequence` and `sequence_backward` in `harness.backends.numpy.cells`.
"""

from types import ModuleType

import numpy as np

from harness.backends.numpy.direction import BufferShape
from harness.backends.numpy.parameters import Block, Factors
from harness.model.network import ModelSpec


class WholeSequence:
    """See `harness.backends.numpy.direction.Pass`."""

    def __init__(self, model: ModelSpec, cell: ModuleType, prefix: str, shape: BufferShape) -> None:
        self.cell, self.prefix, self.options = cell, prefix, model.options
        self.flow: np.ndarray | None = None
        reverse = prefix.endswith(".backward")
        self.way = slice(None, None, -1 if reverse else 1)
        self.last = 0 if reverse or model.spec.single_output else shape.steps - 1

    def forward(
        self, factors: Factors, x: np.ndarray, y: np.ndarray, start: list[np.ndarray]
    ) -> list[np.ndarray]:
        p = factors.views.blocks[self.prefix].own
        ys, final, self.saved = self.cell.sequence(x[:-1, self.way], start, p, self.options)
        y[:, self.way] = ys
        return list(final)

    def backward(
        self,
        factors: Factors,
        gradients: Block,
        x: np.ndarray,
        dy: np.ndarray,
        dstate: list[np.ndarray],
        dx: np.ndarray | None,
    ) -> None:
        p, dp = factors.views.blocks[self.prefix].own, gradients.own
        dxs, dstart, dh = self.cell.sequence_backward(dy[:, self.way], self.saved, p, dp, self.options)
        for into, d in zip(dstate, dstart, strict=True):
            into[...] = d
        if self.flow is not None:
            self.flow[self.way] = np.linalg.norm(dh, axis=(0, 2))
        if dx is not None:
            dx[:, self.way] += dxs
