"""The time loop of one direction of one layer, forward and backward through time.

The input projection of all steps, its gradient and both weight gradients are one matrix product each
(Werbos, Backpropagation through time, Proc. IEEE 78(10), 1990). A cell's `Tape` does the rest of a step.

X_GATES  gates whose input side `x_t W_x· + b_·` is projected for all steps at once, in this order of rows
H_GATES  gates whose recurrent side `h_{t-1} W_h·` is one product per step, h the first state
SHARED   how many gates end the one and begin the other: their gradients share their rows of `da`
HALVED   gates whose rows come in halved, for σ(a) = (1 + tanh(a/2)) / 2
H_BIASES recurrent biases: name -> the gate of the recurrent side whose gradient is theirs too

A cell without the last two says nothing of them. Every other parameter reaches the tape under its
canonical name, and its gradient is added to there.
"""

from types import ModuleType
from typing import Any

import numpy as np

from harness.backends.numpy.parameters import Block, Factors
from harness.model import ModelSpec


class Stepped:
    """See `harness.backends.numpy.passes.Pass`."""

    def __init__(
        self,
        model: ModelSpec,
        cell: ModuleType,
        prefix: str,
        features: int,
        *,
        steps: int,
        batch: int,
        dtype: Any,
        keep: bool,
    ) -> None:
        H, T, B = model.hidden, steps, batch
        self.cell, self.prefix, self.H, self.T, self.B = cell, prefix, H, T, B
        self.x_rows = len(cell.X_GATES) * H
        self.rows = self.x_rows + (len(cell.H_GATES) - cell.SHARED) * H
        self.pre = np.empty((self.x_rows, T, B), dtype)
        self.h_side = np.empty((len(cell.H_GATES) * H, B), dtype)
        self.tape = cell.Tape(T if keep else 1, H, B, dtype, model.options)
        self.states: list[tuple[np.ndarray, ...]] = []  # before the first step and after every one
        self.flow: np.ndarray | None = None
        if keep:
            self.da = np.empty((self.rows, T, B), dtype)
            self.through = np.empty((H, B), dtype)
        self.reverse = prefix.endswith(".backward")
        self.order = list(range(T))[::-1] if self.reverse else list(range(T))
        self.last = self.order[-1]

    def forward(
        self, factors: Factors, x: np.ndarray, y: np.ndarray, start: list[np.ndarray]
    ) -> list[np.ndarray]:
        np.matmul(factors.x[self.prefix], x.reshape(len(x), -1), out=self.pre.reshape(self.x_rows, -1))
        W_h, tape, p = factors.h[self.prefix], self.tape, factors.views.blocks[self.prefix].own
        if hasattr(tape, "prepare"):
            tape.prepare(p)
        state = tuple(start)
        self.states = [state]
        for k, t in enumerate(self.order):
            if len(W_h):
                np.matmul(W_h, state[0], out=self.h_side)
            state = tape.forward(k, self.pre[:, t], self.h_side, x[:-1, t], state, p, y[:, t])
            self.states.append(state)
        return list(state)

    def backward(
        self,
        weights: Block,
        gradients: Block,
        x: np.ndarray,
        y: np.ndarray,
        dy: np.ndarray,
        dstate: list[np.ndarray],
        dx: np.ndarray | None,
    ) -> None:
        H, tape, dp = self.H, self.tape, gradients.own
        h_first = self.rows - len(self.cell.H_GATES) * H
        receives = hasattr(tape, "receive")  # the output is not the first state itself
        for k in range(self.T - 1, -1, -1):
            t = self.order[k]
            if receives:
                tape.receive(k, dy[:, t], y[:, t], dstate)
            else:
                dstate[0] += dy[:, t]
            if self.flow is not None:
                self.flow[t] = np.linalg.norm(dstate[0])
            da = self.da[:, t]
            tape.backward(k, dy[:, t], dstate, self.states[k], self.states[k + 1], weights.own, dp, da)
            if len(weights.h):
                np.matmul(weights.h.T, da[h_first:], out=self.through)
                dstate[0] += self.through
        da_x = self.da[: self.x_rows].reshape(self.x_rows, -1)
        np.matmul(da_x, x.reshape(len(x), -1).T, out=gradients.x)
        if len(weights.h):
            da_h = self.da[h_first:]
            np.matmul(self._following(da_h), self._before(y).T, out=gradients.h)
            gradients.h += da_h[:, self.order[0]] @ self.states[0][0].T
            for name, gate in getattr(self.cell, "H_BIASES", {}).items():
                row = self.cell.H_GATES.index(gate) * H
                dp[name] += da_h[row : row + H].sum(axis=(1, 2))
        if dx is not None:
            dx += (weights.x[:, :-1].T @ da_x).reshape(dx.shape)

    def _before(self, y: np.ndarray) -> np.ndarray:
        """h_{t-1} of all steps but the first: (H, (T-1)·B)."""
        return (y[:, 1:] if self.reverse else y[:, :-1]).reshape(self.H, -1)

    def _following(self, da: np.ndarray) -> np.ndarray:
        return (da[:, :-1] if self.reverse else da[:, 1:]).reshape(len(da), -1)
