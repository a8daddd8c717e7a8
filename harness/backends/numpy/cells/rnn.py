"""The Elman network, pointwise: h_t = φ(a_t); feature-major arrays (·, B)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State

X_GATES = H_GATES = ("h",)
SHARED = 1
PASSES_H = False


class Tape:
    """Nothing but h is needed to go back, and the layer above keeps that."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.relu = options.get("activation", "tanh") == "relu"

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        if self.relu:
            np.maximum(b, 0, out=y)
        else:
            np.tanh(b, out=y)
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
        if self.relu:
            np.multiply(dh, h > 0, out=da)
        else:
            np.square(h, da)
            np.multiply(da, dh, da)
            np.subtract(dh, da, da)
