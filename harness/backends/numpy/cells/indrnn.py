"""Independently recurrent network, pointwise; feature-major arrays (·, B).

    h_t = max(0, a + u ∘ h_{t-1})

Backward, with dh the gradient by h_t:

    da = dh where h_t > 0, else 0          du = Σ_B da ∘ h_{t-1}          dh_{t-1} = da ∘ u
"""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State

X_GATES = ("h",)


class Tape:
    """Nothing but h is needed for the backward pass."""

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        self.part = np.empty((hidden, batch), dtype)
        self.positive = np.empty((hidden, batch), np.bool_)

    def precompute(self, p: Weights) -> None:
        self.u = p["u"][:, None]

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        part = np.multiply(self.u, prev[0], out=self.part)
        part += xw
        np.maximum(part, 0, out=y)
        return (y,)

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        (dh,), (h,) = d, new
        np.greater(h, 0, out=self.positive)
        np.multiply(dh, self.positive, out=da)
        np.multiply(da, self.u, out=dh)

    def parameters_backward(self, da: Array, before: Array, dp: Weights) -> None:
        dp["u"] += np.einsum("hn,hn->h", da, before)
