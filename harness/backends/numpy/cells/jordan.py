"""Jordan network; feature-major arrays (·, B).

    h_t = tanh(a + y_{t-1} W_yh)          y_t = tanh(h_t W_hy + b_y)

Backward, with dy the gradient by y_t; ds is the one by the output's pre-activation:

    ds = dy ∘ (1 - y²)          dW_hy = Σ_B h dsᵀ          db_y = Σ_B ds
    da = (ds W_hyᵀ) ∘ (1 - h²)  dW_yh = Σ_B y_{t-1} daᵀ    dy_{t-1} = da W_yhᵀ
"""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State, outer

X_GATES = ("h",)


class Tape:
    """What the backward pass needs beside the outputs: the hidden units."""

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        self.h = np.empty((hidden, slots, batch), dtype)
        self.ds = np.empty((hidden, slots, batch), dtype)
        self.part = np.empty((hidden, batch), dtype)

    def precompute(self, p: Weights) -> None:
        self.b_y = p["b_y"][:, None]

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        h, s = self.h[:, k % self.h.shape[1]], self.part
        np.matmul(p["W_yh"].T, prev[0], out=h)
        h += xw
        np.tanh(h, out=h)
        np.matmul(p["W_hy"].T, h, out=s)
        s += self.b_y
        np.tanh(s, out=y)
        return (y,)

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        (dy_t,), (y,), h, ds, part = d, new, self.h[:, k], self.ds[:, k], self.part
        np.square(y, out=part)
        np.subtract(1, part, out=part)
        np.multiply(part, dy_t, out=ds)
        np.matmul(p["W_hy"], ds, out=da)
        np.square(h, out=part)
        np.subtract(1, part, out=part)
        da *= part
        np.matmul(p["W_yh"], da, out=dy_t)

    def parameters_backward(self, da: Array, before: Array, dp: Weights) -> None:
        h, ds = self.h.reshape(len(self.h), -1), self.ds.reshape(len(self.h), -1)
        dp["W_hy"] += outer(h, ds)
        dp["W_yh"] += outer(before, da)
        dp["b_y"] += ds.sum(axis=1)
