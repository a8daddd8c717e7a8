"""Multilayer perceptron in Keras.

    h = φ(Σ_t x_t W_xh[t] + b_h)

D. E. Rumelhart, G. E. Hinton, R. J. Williams, Learning representations by back-propagating errors,
Nature 323, 1986.
Stored are W_xh (T, I, H) and b_h (H,).
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from harness.backends.base import Weights
from harness.backends.keras.cells import Options, Packed, State, Tensor

NAMES = ("W_xh", "b_h")


def sequence(xs: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """xs (T, B, I) -> h (1, B, H), and no state; the sum over time is one over products."""
    W_xh, b_h = p
    φ = keras.activations.get(options["activation"])
    return φ(ops.sum(ops.matmul(xs, W_xh), axis=0, keepdims=True) + b_h), state


def fused_sequence(xs: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """The same by what `keras.layers.Flatten` and `keras.layers.Dense` call: one product."""
    W_xh, b_h = p
    T, I, H = W_xh.shape
    φ = keras.activations.get(options["activation"])
    flat = ops.reshape(ops.swapaxes(xs, 0, 1), (ops.shape(xs)[1], T * I))
    return φ(ops.matmul(flat, ops.reshape(W_xh, (T * I, H))) + b_h)[None], state


def pack(weights: Weights) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [weights[name] for name in NAMES]


def unpack(p: Sequence[np.ndarray]) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return dict(zip(NAMES, p, strict=True))
