"""The time loop of one direction of one layer, forward and backward through time.

Arrays are feature-major with time in the middle, `(F, T, B)`: a step is the slice `[:, t]`, and the
whole of it is the matrix `(F, T·B)`, so the input projection, its gradient and both weight gradients
are one matrix product each (Werbos, Backpropagation through time, Proc. IEEE 78(10), 1990).
"""

from types import ModuleType
from typing import Any

import numpy as np

from harness.backends.numpy.parameters import Block, Factors
from harness.model import ModelSpec


class Direction:
    """One direction's buffers for T steps of B columns; `keep=False` keeps no tape, for inference."""

    def __init__(
        self, model: ModelSpec, cell: ModuleType, prefix: str, *, batch: int, dtype: Any, keep: bool
    ) -> None:
        H, T, B = model.hidden, model.steps, batch
        self.model, self.cell, self.prefix, self.H, self.T, self.B = model, cell, prefix, H, T, B
        self.x_rows = len(cell.X_GATES) * H
        self.rows = self.x_rows + (len(cell.H_GATES) - cell.SHARED) * H
        self.pre = np.empty((self.x_rows, T, B), dtype)
        self.h_side = np.empty((len(cell.H_GATES) * H, B), dtype)
        self.start = np.zeros((H, B), dtype)
        self.tape = cell.Tape(T if keep else 1, H, B, dtype, model.options)
        if keep:
            self.da = np.empty((self.rows, T, B), dtype)
            self.through = np.empty((H, B), dtype)
        backward = prefix.endswith(".backward")
        self.order = list(range(T))[::-1] if backward else list(range(T))

    def forward(self, factors: Factors, x: np.ndarray, y: np.ndarray) -> None:
        """Reads x (I+1, T, B), whose last row is ones; writes its outputs to y (H, T, B)."""
        np.matmul(factors.x[self.prefix], x.reshape(len(x), -1), out=self.pre.reshape(self.x_rows, -1))
        W_h, H, gates = factors.h[self.prefix], self.H, self.cell.H_GATES
        biases = [
            (gates.index(gate) * H, factors.views.blocks[self.prefix].h_bias[name][:, None])
            for name, gate in self.cell.H_BIASES.items()
        ]
        h = self.start
        for k, t in enumerate(self.order):
            np.matmul(W_h, h, out=self.h_side)
            for row, bias in biases:
                self.h_side[row : row + H] += bias
            self.tape.forward(k, self.pre[:, t], self.h_side, h, y[:, t])
            h = y[:, t]

    def backward(
        self, weights: Block, gradients: Block, x: np.ndarray, y: np.ndarray, dy: np.ndarray
    ) -> np.ndarray:
        """Reads dy (H, T, B), the gradient by this direction's outputs, and fills `gradients`.

        Returns da (Gx·H, T, B), the gradient by the input projection.
        """
        B, H, h_first = self.B, self.H, self.rows - len(self.cell.H_GATES) * self.H
        dh = np.zeros((H, B), dy.dtype)
        for k in range(self.T - 1, -1, -1):
            t = self.order[k]
            dh += dy[:, t]
            h_prev = y[:, self.order[k - 1]] if k else self.start
            da = self.da[:, t]
            self.tape.backward(k, dh, h_prev, y[:, t], da)
            if k:
                np.matmul(weights.h.T, da[h_first:], out=self.through)
                dh += self.through
        da_x = self.da[: self.x_rows]
        np.matmul(da_x.reshape(self.x_rows, -1), x.reshape(len(x), -1).T, out=gradients.x)
        before, after = self._shifted(y), self._following(self.da[h_first:])
        np.matmul(after, before.T, out=gradients.h)
        for name, gate in self.cell.H_BIASES.items():
            row = h_first + self.cell.H_GATES.index(gate) * H
            gradients.h_bias[name][...] = self.da[row : row + H].sum(axis=(1, 2))
        return da_x

    def _shifted(self, y: np.ndarray) -> np.ndarray:
        """h_{t-1} of all steps but the first, whose h_{t-1} is zero: (H, (T-1)·B)."""
        return (y[:, :-1] if self.order[0] == 0 else y[:, 1:]).reshape(self.H, -1)

    def _following(self, da: np.ndarray) -> np.ndarray:
        return (da[:, 1:] if self.order[0] == 0 else da[:, :-1]).reshape(len(da), -1)
