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
SHARED = 0


class Tape:
    """Nothing but h is needed to go back."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        pass

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        np.multiply(p["u"][:, None], prev[0], out=y)
        y += a
        np.maximum(y, 0, out=y)
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
        (dh,), (h_prev,), (h,) = d, prev, new
        np.multiply(dh, h > 0, out=da)
        dp["u"] += (da * h_prev).sum(axis=1)
        np.multiply(da, p["u"][:, None], out=dh)
