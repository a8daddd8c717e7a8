"""Continuous-time recurrent network; feature-major arrays (·, B).

    h ← h + (-h / τ + tanh(h) W_hh + a) / n          n times

Backward through one Euler step, with g the gradient by its result and v = tanh(h):

    dW_hh += Σ_B v gᵀ / n          da += g / n          dlog τ += Σ_B g ∘ h / (n τ)
    dh = g ∘ (1 - 1 / (n τ)) + (g W_hhᵀ) ∘ (1 - v²) / n
"""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State

X_GATES = ("h",)


class Tape:
    """What the backward pass needs: the state before every Euler step, and its tanh."""

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        self.n = int(options["substeps"])
        self.h = np.empty((slots, self.n, hidden, batch), dtype)  # before every Euler step
        self.v = np.empty_like(self.h)  # its tanh
        self.part, self.change = np.empty((2, hidden, batch), dtype)
        self.dW = np.empty((hidden, hidden), dtype)

    def precompute(self, p: Weights) -> None:
        self.rate = np.exp(-p["log_tau"])[:, None]  # 1 / τ

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        h, v = self.h[k % len(self.h)], self.v[k % len(self.h)]
        part, change, now = self.part, self.change, prev[0]
        for s in range(self.n):
            h[s] = now
            np.tanh(now, out=v[s])
            np.matmul(p["W_hh"].T, v[s], out=change)
            change += xw
            change -= np.multiply(self.rate, h[s], out=part)
            change /= self.n
            now = np.add(h[s], change, out=y)
        return (y,)

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        (g,), n, part, g_n = d, self.n, self.part, self.change
        da[...] = 0
        for s in range(n - 1, -1, -1):
            h, v = self.h[k, s], self.v[k, s]
            np.divide(g, n, out=g_n)
            da += g_n
            dp["W_hh"] += np.matmul(v, g_n.T, out=self.dW)
            np.multiply(g_n, self.rate, out=part)
            g -= part
            part *= h
            dp["log_tau"] += part.sum(axis=1)
            np.square(v, out=part)
            np.subtract(1, part, out=part)
            part *= np.matmul(p["W_hh"], g_n, out=h)
            g += part
