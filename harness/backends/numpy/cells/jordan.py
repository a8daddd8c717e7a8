"""Jordan network; feature-major arrays (·, B).

    h_t = tanh(a + y_{t-1} W_yh)          y_t = tanh(h_t W_hy + b_y)

Backward, with dy the gradient by y_t; ds is the one by the output's pre-activation:

    ds = dy ∘ (1 - y²)          dW_hy = Σ_B h dsᵀ          db_y = Σ_B ds
    da = (ds W_hyᵀ) ∘ (1 - h²)  dW_yh = Σ_B y_{t-1} daᵀ    dy_{t-1} = da W_yhᵀ
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
    """What the way back needs beside the outputs: the hidden units."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.slots = slots
        self.h = np.empty((slots, hidden, batch), dtype)

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        h = self.h[k % self.slots]
        np.matmul(p["W_yh"].T, prev[0], out=h)
        h += a
        np.tanh(h, out=h)
        s = p["W_hy"].T @ h
        s += p["b_y"][:, None]
        np.tanh(s, out=y)
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
        (dy_t,), (y_prev,), (y,), h = d, prev, new, self.h[k]
        ds = dy_t * (1 - y * y)
        dp["W_hy"] += outer(h, ds)
        dp["b_y"] += ds.sum(axis=1)
        np.matmul(p["W_hy"], ds, out=da)
        da *= 1 - h * h
        dp["W_yh"] += outer(y_prev, da)
        np.matmul(p["W_yh"], da, out=dy_t)
