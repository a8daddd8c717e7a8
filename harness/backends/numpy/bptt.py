"""The time loop of one direction of one layer, forward and backward through time.

Werbos, Backpropagation through time, Proc. IEEE 78(10), 1990.
The loop makes the matrix products, a cell's `Tape` the rest of a step: see `harness.backends.numpy.cells`.

The input sides of gates that are not shared are projected for all steps at once; a step then has a single
product, of [x; 1; h] and the matrices of both sides, with zeros where a gate has a recurrent side alone.
Every other parameter reaches the tape under its canonical name, and its gradient is added to there, step by
step or from all of them in `parameters_backward`.

What a step computes on is contiguous, for which a kernel starts four times as fast as for anything else:
its slots of `z` and of the tape, and one `da`. For the products over time a few steps at once are laid
side by side, while they are in the cache. Steps are counted in the order of reading, from the end where
the direction is backward.

Legend: T time steps, B batch, I input features, H hidden units, Gx and Gh gates with an input and with a
recurrent side.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np

from harness.backends.numpy.direction import BufferShape
from harness.backends.numpy.gates import gates_of
from harness.backends.numpy.parameters import Block, Factors
from harness.model.network import ModelSpec

PIECE = 4  # steps whose products over time are made at once, while what they read is in the cache


class Step(NamedTuple):
    """Views of what one step reads and writes, made once: making them holds up the other threads."""

    z: np.ndarray  # [x; 1; h] (I+1+H, B)
    x: np.ndarray  # (I, B)
    y: np.ndarray  # the next step's h (H, B)
    xw: np.ndarray  # input sides of gates that are not shared ((Gx-shared)·H, B)
    product: np.ndarray  # (Gh·H, B)


class StepLoop:
    """See `harness.backends.numpy.direction.Pass`."""

    def __init__(
        self,
        model: ModelSpec,
        cell: ModuleType,
        prefix: str,
        features: int,
        shape: BufferShape,
        *,
        keep: bool,
        brief: bool,
    ) -> None:
        H, I, (T, B, dtype) = model.hidden, features, shape
        slots = T if keep else 1
        self.prefix, self.H, self.T, self.I, self.brief = prefix, H, T, I, brief and keep
        gates = gates_of(cell, model.spec)
        self.h_biases = gates.h_biases
        self.x_rows, self.h_rows = len(gates.x) * H, len(gates.h) * H
        self.unshared_rows = self.x_rows - gates.shared * H  # rows of the gates that are not shared
        self.rows = self.unshared_rows + self.h_rows
        self.output_is_state = model.spec.output_is_state
        self.h_only_in_product = getattr(cell, "H_ONLY_IN_PRODUCT", False)
        self.tape = cell.Tape(slots, H, B, dtype, model.options)
        self.z = np.ones((T + 1, I + 1 + H, B), dtype)  # [x_t; 1; h_{t-1}] of every step
        self.xw = np.empty((T, self.unshared_rows, B), dtype)
        products = getattr(self.tape, "product", np.empty((1, self.h_rows, B), dtype))
        self.steps = [
            Step(self.z[k], self.z[k, :I], self.z[k + 1, I + 1 :], self.xw[k], products[k % len(products)])
            for k in range(T)
        ]
        self.states: list[tuple[np.ndarray, ...]] = []  # before the first step and after every one
        self.flow: np.ndarray | None = None
        if keep:
            # where gradients of other parameters need the da of all steps, a piece is all of them
            self.piece = T if hasattr(self.tape, "parameters_backward") else min(PIECE, T)
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
        if hasattr(tape, "precompute"):
            tape.precompute(p)
        if self.unshared_rows:
            np.matmul(W.x, z[:-1, : I + 1], out=self.xw)
        state = tuple(start)
        if self.output_is_state:
            z[0, I + 1 :] = start[0]
            state = (z[0, I + 1 :], *start[1:])
        self.states = [state]
        for k, (z_k, x_k, y_k, xw_k, product) in enumerate(self.steps):
            if self.h_rows:
                np.dot(W.step, z_k, out=product)
            state = tape.step(k, xw_k, product, x_k, state, p, y_k)
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
        dy: np.ndarray,
        dstate: list[np.ndarray],
        dx: np.ndarray | None,
    ) -> None:
        tape, da, piece, T = self.tape, self.da, self.piece, self.T
        weights = factors.views.blocks[self.prefix]
        dy, W_back, da_h = dy[:, self.way], weights.h.T, da[self.unshared_rows :]
        for k in range(T - 1, -1, -1):
            if k == T - 1 or not self.brief:
                if self.output_is_state:
                    dstate[0] += dy[:, k]
                else:
                    tape.output_backward(k, dy[:, k], self.steps[k].y, dstate)
            if self.flow is not None:
                self.flow[self.way][k] = np.linalg.norm(dstate[0])
            tape.step_backward(
                k, dy[:, k], dstate, self.states[k], self.states[k + 1], weights.own, gradients.own, da
            )
            self.da_piece[:, k % piece] = da
            if self.h_rows and not self.h_only_in_product:
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
        da_x, da_h = da[: self.x_rows], da[self.unshared_rows :]
        last = end == self.T  # the first piece that comes
        if gradients.joint.size:
            self._add(da, z, gradients.joint, "joint", last)
        else:
            self._add(da_x, z[: I + 1], gradients.x, "x", last)
            self._add(da_h, z[I + 1 :], gradients.h, "h", last)
        if hasattr(self.tape, "parameters_backward"):
            self.tape.parameters_backward(da, z[I + 1 :], gradients.own)
        for name, k in self.h_biases.items():
            gradients.own[name] += da_h[k * H : (k + 1) * H].sum(axis=1)
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
