"""Multilayer perceptron in Keras.

    h = φ(Σ_t x_t W_xh[t] + b_h)

D. E. Rumelhart, G. E. Hinton, R. J. Williams, Learning representations by back-propagating errors,
Nature 323, 1986.
Stored are W_xh (T, I, H) and b_h (H,).
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from harness.backends.keras.engines import State, Tensor
from harness.model.cell import Value

NAMES = ("W_xh", "b_h")


def whole(
    xs: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """xs (T, B, I) -> h (1, B, H), and no state; the sum over time is one over products."""
    W_xh, b_h = params
    φ = keras.activations.get(options["activation"])
    return φ(ops.sum(ops.matmul(xs, W_xh), axis=0, keepdims=True) + b_h), state


def stock(
    xs: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """The same by what `keras.layers.Flatten` and `keras.layers.Dense` call: one product."""
    W_xh, b_h = params
    T, I, H = W_xh.shape
    φ = keras.activations.get(options["activation"])
    flat = ops.reshape(ops.swapaxes(xs, 0, 1), (ops.shape(xs)[1], T * I))
    return φ(ops.matmul(flat, ops.reshape(W_xh, (T * I, H))) + b_h)[None], state


def pack(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [weights[name] for name in NAMES]


def unpack(params: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for weights and for gradients."""
    return dict(zip(NAMES, params, strict=True))
