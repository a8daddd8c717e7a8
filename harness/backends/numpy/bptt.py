"""The time loop of one direction of one layer, forward and backward through time.

Werbos, Backpropagation through time, Proc. IEEE 78(10), 1990. The products are made here, and a cell's
`Tape` does the rest of a step.

X_GATES  gates with an input side `x_t W_x· + b_·`, in this order of rows
H_GATES  gates with a recurrent side `h_{t-1} W_h·`, h the first state
SHARED   how many gates end the one and begin the other: both sides make one pre-activation (0)
HALVED   gates whose rows come in halved, for σ(a) = (1 + tanh(a/2)) / 2
H_BIASES recurrent biases: name -> the gate of the recurrent side that it is added to
PASSES_H whether part of dh reaches h_{t-1} beside the recurrent product (True)

The input sides that stand alone are projected for all steps at once; a step then has a single product,
of [x; 1; h] and the matrices of both sides, with zeros where a recurrent side stands alone. Every other
parameter reaches the tape under its canonical name, and its gradient is added to there, step by step or
from all of them in `finish`. What a cell does not say is as in brackets, or empty.

What a step computes on is contiguous, for which a kernel starts four times as fast as for anything else:
its slots of `z` and of the tape, and one `da`. For the products over time a few steps at once are laid
side by side, while they are in the cache. Steps are counted in the order of reading, from the end where
the direction is backward.
"""

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from harness.backends.numpy.parameters import Block, Factors
from harness.model.network import ModelSpec

PIECE = 4  # steps whose products over time are made at once, while what they read is in the cache


class Step(NamedTuple):
    """Views of what one step reads and writes, made once: making them holds up the other threads."""

    z: np.ndarray  # [x; 1; h] (I+1+H, B)
    x: np.ndarray  # (I, B)
    y: np.ndarray  # the next step's h (H, B)
    a: np.ndarray  # input sides that stand alone ((Gx-SHARED)·H, B)
    b: np.ndarray  # the step's product (Gh·H, B)


class Stepped:
    """See `harness.backends.numpy.direction.Pass`."""

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
        brief: bool,
    ) -> None:
        H, T, B, I = model.hidden, steps, batch, features
        slots = T if keep else 1
        self.cell, self.prefix, self.H, self.T, self.I, self.brief = cell, prefix, H, T, I, brief and keep
        self.x_rows, self.h_rows = len(cell.X_GATES) * H, len(cell.H_GATES) * H
        self.alone = self.x_rows - getattr(cell, "SHARED", 0) * H  # rows of input sides that stand alone
        self.rows = self.alone + self.h_rows
        self.passes_h = getattr(cell, "PASSES_H", True)
        self.tape = cell.Tape(slots, H, B, dtype, model.options)
        self.z = np.ones((T + 1, I + 1 + H, B), dtype)  # [x_t; 1; h_{t-1}] of every step
        self.a = np.empty((T, self.alone, B), dtype)
        b = getattr(self.tape, "b", np.empty((1, self.h_rows, B), dtype))
        self.steps = [
            Step(self.z[k], self.z[k, :I], self.z[k + 1, I + 1 :], self.a[k], b[k % len(b)]) for k in range(T)
        ]
        self.states: list[tuple[np.ndarray, ...]] = []  # before the first step and after every one
        self.flow: np.ndarray | None = None
        if keep:
            # where gradients of other parameters need the da of all steps, a piece is all of them
            self.piece = T if hasattr(self.tape, "finish") else min(PIECE, T)
            self.da = getattr(self.tape, "da", np.empty((self.rows, B), dtype))
            self.da_piece = np.empty((self.rows, self.piece, B), dtype)
            self.z_piece = np.empty((I + 1 + H, self.piece, B), dtype)
            self.through = np.empty((H, B), dtype)
            self.more: dict[str, np.ndarray] = {}  # of a product over a piece, to be added
        self.reverse = prefix.endswith(".backward")
        self.way = slice(None, None, -1 if self.reverse else 1)
        self.last = 0 if self.reverse else T - 1

    def forward(
        self, factors: Factors, x: np.ndarray, y: np.ndarray, start: list[np.ndarray]
    ) -> list[np.ndarray]:
        I, z, tape = self.I, self.z, self.tape
        W, p = factors.blocks[self.prefix], factors.views.blocks[self.prefix].own
        z[:-1, :I] = x[:-1, self.way].transpose(1, 0, 2)
        if hasattr(tape, "prepare"):
            tape.prepare(p)
        if self.alone:
            np.matmul(W.x, z[:-1, : I + 1], out=self.a)
        state = tuple(start)
        if not hasattr(tape, "receive"):
            z[0, I + 1 :] = start[0]
            state = (z[0, I + 1 :], *start[1:])
        self.states = [state]
        for k, (z_k, x_k, y_k, a, b) in enumerate(self.steps):
            if self.h_rows:
                np.dot(W.step, z_k, out=b)
            state = tape.forward(k, a, b, x_k, state, p, y_k)
            self.states.append(state)
        if self.brief:
            y[:, self.last] = z[-1, I + 1 :]
        else:
            y[:, self.way] = z[1:, I + 1 :].transpose(1, 0, 2)
        return list(state)

    def backward(
        self,
        factors: Factors,
        gradients: Block,
        x: np.ndarray,
        y: np.ndarray,
        dy: np.ndarray,
        dstate: list[np.ndarray],
        dx: np.ndarray | None,
    ) -> None:
        tape, da, piece, T = self.tape, self.da, self.piece, self.T
        weights = factors.views.blocks[self.prefix]
        dy, W_back, da_h = dy[:, self.way], weights.h.T, da[self.alone :]
        receives = hasattr(tape, "receive")  # the output is not the first state itself
        for k in range(T - 1, -1, -1):
            if k == T - 1 or not self.brief:
                if receives:
                    tape.receive(k, dy[:, k], self.steps[k].y, dstate)
                else:
                    dstate[0] += dy[:, k]
            if self.flow is not None:
                self.flow[self.way][k] = np.linalg.norm(dstate[0])
            tape.backward(
                k, dy[:, k], dstate, self.states[k], self.states[k + 1], weights.own, gradients.own, da
            )
            self.da_piece[:, k % piece] = da
            if self.passes_h and self.h_rows:
                dstate[0] += np.matmul(W_back, da_h, out=self.through)
            elif self.h_rows:
                np.matmul(W_back, da_h, out=dstate[0])
            if k % piece == 0:
                self._gather(k, min(k + piece, T), weights, gradients, dx)

    def _gather(self, first: int, end: int, weights: Block, gradients: Block, dx: np.ndarray | None) -> None:
        """The products over the steps of a piece, from the `da` of each."""
        H, I, B, count = self.H, self.I, self.z.shape[2], end - first
        self.z_piece[:, :count] = self.z[first:end].transpose(1, 0, 2)
        z = self.z_piece[:, :count].reshape(len(self.z_piece), -1)
        da = self.da_piece[:, :count].reshape(self.rows, -1)
        da_x, da_h = da[: self.x_rows], da[self.alone :]
        last = end == self.T  # the first piece that comes
        if gradients.joint.size:
            self._add(da, z, gradients.joint, "joint", last)
        else:
            self._add(da_x, z[: I + 1], gradients.x, "x", last)
            self._add(da_h, z[I + 1 :], gradients.h, "h", last)
        if hasattr(self.tape, "finish"):
            self.tape.finish(da, z[I + 1 :], gradients.own)
        for name, gate in getattr(self.cell, "H_BIASES", {}).items():
            row = self.cell.H_GATES.index(gate) * H
            gradients.own[name] += da_h[row : row + H].sum(axis=1)
        if dx is not None:
            dx[:, self.way][:, first:end] += (weights.x[:, :-1].T @ da_x).reshape(I, -1, B)

    def _add(self, da: np.ndarray, z: np.ndarray, into: np.ndarray, name: str, first: bool) -> None:
        """da zᵀ, written to `into` or added to it."""
        if first:
            np.matmul(da, z.T, out=into)
            return
        if name not in self.more:
            self.more[name] = np.empty_like(into)
        into += np.matmul(da, z.T, out=self.more[name])
