"""Continuous Hopfield network; feature-major arrays (·, B).

    S = (W_hh + W_hhᵀ) / 2
    u ← u + δ (-u + tanh(u) S + a)          n times          h_t = tanh(u_t)

Backward through one relaxation step, with g the gradient by its result and v = tanh(u):

    dS += δ Σ_B v gᵀ          da += δ g          du = (1 - δ) g + δ (g S) ∘ (1 - v²)

and dW_hh = (dS + dSᵀ) / 2.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State, outer

X_GATES = ("h",)
H_GATES: tuple[str, ...] = ()
SHARED = 0


class Tape:
    """What the way back needs: tanh(u) before every relaxation step."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.slots, self.n, self.δ = slots, int(options["substeps"]), float(options["step_size"])
        self.v = np.empty((slots, self.n, hidden, batch), dtype)  # tanh(u) before every step
        self.u = np.empty((slots, hidden, batch), dtype)

    def prepare(self, p: Weights) -> None:
        self.S = (p["W_hh"] + p["W_hh"].T) / 2

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        u, v, before = self.u[k % self.slots], self.v[k % self.slots], prev[0]
        for s in range(self.n):
            np.tanh(before, out=v[s])
            step = self.S @ v[s]
            step += a
            step -= before
            step *= self.δ
            before = np.add(before, step, out=u)
        np.tanh(u, out=y)
        return (u,)

    def receive(self, k: int, dy: np.ndarray, y: np.ndarray, d: list[np.ndarray]) -> None:
        d[0] += dy * (1 - y * y)

    def backward(
        self,
        k: int,
        dy: np.ndarray,
        d: list[np.ndarray],
        prev: State,
        new: State,
        p: Weights,
        dp: Weights,
        da: np.ndarray,
    ) -> None:
        (g,), δ = d, self.δ
        da[...] = 0
        for s in range(self.n - 1, -1, -1):
            v = self.v[k, s]
            g_δ = δ * g
            da += g_δ
            dS = outer(v, g_δ)
            dp["W_hh"] += (dS + dS.T) / 2
            g -= g_δ
            g += (self.S @ g_δ) * (1 - v * v)
