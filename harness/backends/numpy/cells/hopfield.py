"""Continuous Hopfield network; feature-major arrays (·, B).

    S = (W_hh + W_hhᵀ) / 2
    u ← u + δ (-u + tanh(u) S + a)          n times          h_t = tanh(u_t)

Backward through one relaxation step, with g the gradient by its result and v = tanh(u):

    dS += δ Σ_B v gᵀ          da += δ g          du = (1 - δ) g + δ (g S) ∘ (1 - v²)

and dW_hh = (dS + dSᵀ) / 2.
"""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State

X_GATES = ("h",)


class Tape:
    """What the backward pass needs: tanh(u) before every relaxation step."""

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        self.n, self.δ = int(options["substeps"]), float(options["step_size"])
        self.v = np.empty((slots, self.n, hidden, batch), dtype)  # tanh(u) before every step
        self.u = np.empty((slots, hidden, batch), dtype)
        self.part, self.change = np.empty((2, hidden, batch), dtype)
        self.dS, self.dS_step = np.zeros((2, hidden, hidden), dtype)

    def precompute(self, p: Weights) -> None:
        self.S = (p["W_hh"] + p["W_hh"].T) / 2

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        slot, before, change = k % len(self.u), prev[0], self.change
        u, v = self.u[slot], self.v[slot]
        for s in range(self.n):
            np.tanh(before, out=v[s])
            np.matmul(self.S, v[s], out=change)
            change += xw
            change -= before
            change *= self.δ
            before = np.add(before, change, out=u)
        np.tanh(u, out=y)
        return (u,)

    def output_backward(self, k: int, dy: Array, y: Array, d: list[Array]) -> None:
        part = np.square(y, out=self.part)
        np.subtract(1, part, out=part)
        part *= dy
        d[0] += part

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        (g,), part, g_δ = d, self.part, self.change
        da[...] = 0
        for s in range(self.n - 1, -1, -1):
            v = self.v[k, s]
            np.multiply(g, self.δ, out=g_δ)
            da += g_δ
            self.dS += np.matmul(v, g_δ.T, out=self.dS_step)
            g -= g_δ
            np.square(v, out=part)
            np.subtract(1, part, out=part)
            part *= np.matmul(self.S, g_δ, out=v)
            g += part

    def parameters_backward(self, da: Array, before: Array, dp: Weights) -> None:
        dp["W_hh"] += (self.dS + self.dS.T) / 2
        self.dS[...] = 0
