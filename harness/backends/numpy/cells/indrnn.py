"""Independently recurrent network, pointwise; feature-major arrays (·, B).

    h_t = max(0, a + u ∘ h_{t-1})

Backward, with dh the gradient by h_t:

    da = dh where h_t > 0, else 0          du = Σ_B da ∘ h_{t-1}          dh_{t-1} = da ∘ u
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State

X_GATES = ("h",)
H_GATES: tuple[str, ...] = ()


class Tape:
    """Nothing but h is needed to go back."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.part = np.empty((hidden, batch), dtype)
        self.positive = np.empty((hidden, batch), np.bool_)

    def prepare(self, p: Weights) -> None:
        self.u = p["u"][:, None]

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        part = np.multiply(self.u, prev[0], out=self.part)
        part += a
        np.maximum(part, 0, out=y)
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
        (dh,), (h,) = d, new
        np.greater(h, 0, out=self.positive)
        np.multiply(dh, self.positive, out=da)
        np.multiply(da, self.u, out=dh)

    def finish(self, da: np.ndarray, before: np.ndarray, dp: Weights) -> None:
        dp["u"] += np.einsum("hn,hn->h", da, before)
