"""Echo state network, pointwise; feature-major arrays (·, B).

    n_t = tanh(a)          h_t = (1 - α) h_{t-1} + α n_t

Backward, with dh the gradient by h_t:

    da = α dh ∘ (1 - n²)          dh_{t-1} = (1 - α) dh          (and through the product)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State

X_GATES = ("h",)
H_GATES = ("h",)
SHARED = 1


class Tape:
    """What the way back needs: the activations before they leak in."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.α = float(options["leak"])
        self.b = np.empty((slots, hidden, batch), dtype)

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        n = np.tanh(b, out=b)
        np.subtract(n, prev[0], out=y)
        y *= self.α
        y += prev[0]
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
        (dh,), n = d, self.b[k]
        np.multiply(n, n, out=da)
        np.subtract(1, da, out=da)
        da *= dh
        da *= self.α
        dh *= 1 - self.α
