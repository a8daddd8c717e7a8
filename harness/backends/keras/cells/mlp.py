"""Multilayer perceptron in Keras.

    h = φ(Σ_t x_t W_xh[t] + b_h)

Stored are W_xh (T, I, H) and b_h (H,).
"""

import keras
from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor


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


pack, unpack = gates.packing("W_xh", "b_h")
