"""Continuous-time recurrent network; feature-major arrays (·, B).

    h ← h + (-h / τ + tanh(h) W_hh + a) / n          n times

Backward through one Euler step, with g the gradient by its result and v = tanh(h):

    dW_hh += Σ_B v gᵀ / n          da += g / n          dlog τ += Σ_B g ∘ h / (n τ)
    dh = g ∘ (1 - 1 / (n τ)) + (g W_hhᵀ) ∘ (1 - v²) / n
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
    """What the way back needs: the state before every Euler step, and its tanh."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.slots, self.n = slots, int(options["substeps"])
        self.h = np.empty((slots, self.n, hidden, batch), dtype)  # before every Euler step
        self.v = np.empty_like(self.h)  # its tanh

    def prepare(self, p: Weights) -> None:
        self.rate = np.exp(-p["log_tau"])[:, None]  # 1 / τ

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        h, v = self.h[k % self.slots], self.v[k % self.slots]
        now = prev[0]
        for s in range(self.n):
            h[s] = now
            np.tanh(now, out=v[s])
            step = p["W_hh"].T @ v[s]
            step += a
            step -= self.rate * h[s]
            step /= self.n
            now = np.add(h[s], step, out=y)
        return (y,)

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
        (g,), n = d, self.n
        da[...] = 0
        for s in range(n - 1, -1, -1):
            h, v = self.h[k, s], self.v[k, s]
            g_n = g / n
            da += g_n
            dp["W_hh"] += outer(v, g_n)
            dp["log_tau"] += (g_n * h).sum(axis=1) * self.rate[:, 0]
            g -= g_n * self.rate
            g += (p["W_hh"] @ g_n) * (1 - v * v)
