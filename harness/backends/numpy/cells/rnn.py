"""The Elman network, pointwise: h_t = φ(a_t); feature-major arrays (·, B)."""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State

X_GATES = H_GATES = ("h",)
H_ONLY_IN_PRODUCT = True


class Tape:
    """Nothing but h is needed for the backward pass, and the layer above keeps that."""

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        self.relu = options.get("activation", "tanh") == "relu"

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        if self.relu:
            np.maximum(product, 0, out=y)
        else:
            np.tanh(product, out=y)
        return (y,)

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        (dh,), (h,) = d, new
        if self.relu:
            np.multiply(dh, h > 0, out=da)
        else:
            np.square(h, da)
            np.multiply(da, dh, da)
            np.subtract(dh, da, da)
