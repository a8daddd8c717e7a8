"""The Elman network, pointwise: a_t = x-side + h-side, h_t = φ(a_t); feature-major arrays (·, B)."""

from collections.abc import Mapping

import numpy as np

X_GATES = H_GATES = ("h",)
SHARED = 1
HALVED: tuple[str, ...] = ()
H_BIASES: Mapping[str, str] = {}


class Tape:
    """Nothing but h is needed to go back, and the layer above keeps that."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, str]
    ) -> None:
        self.relu = options.get("activation", "tanh") == "relu"

    def forward(self, k: int, xs: np.ndarray, hs: np.ndarray, h_prev: np.ndarray, h: np.ndarray) -> None:
        np.add(xs, hs, out=hs)
        if self.relu:
            np.maximum(hs, 0, out=h)
        else:
            np.tanh(hs, out=h)

    def backward(self, k: int, dh: np.ndarray, h_prev: np.ndarray, h: np.ndarray, da: np.ndarray) -> None:
        if self.relu:
            np.multiply(dh, h > 0, out=da)
        else:
            np.multiply(h, h, out=da)
            np.subtract(1, da, out=da)
            np.multiply(dh, da, out=da)
        dh[...] = 0
