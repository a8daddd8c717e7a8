"""Finite impulse recurrent network in Keras.

    h_t = φ(Σ_{k<K} x_{t-k} W_xh[k] + b_h)          x_t = 0 for t < 1

The state is the K - 1 inputs before the present one, oldest first. Stored are the kernel (K, I, H) as
`keras.layers.Conv1D` has it, which is W_xh with its taps reversed, and b_h (H,).
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from harness.backends.base import Weights
from harness.backends.keras.cells import Options, Packed, State, Tensor


def sequence(xs: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """xs (T, B, I) and the state (taps (B, (K-1)·I),) -> all h (T, B, H) and the last state."""
    kernel, b_h = p
    delayed, state = _delayed(xs, state, kernel)
    T, φ = ops.shape(xs)[0], keras.activations.get(options["activation"])
    return φ(sum(ops.matmul(delayed[j : j + T], W) for j, W in enumerate(ops.unstack(kernel))) + b_h), state


def fused_sequence(xs: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """The same by the operation that `keras.layers.Conv1D` calls."""
    kernel, b_h = p
    delayed, state = _delayed(xs, state, kernel)
    φ = keras.activations.get(options["activation"])
    a = ops.conv(ops.swapaxes(delayed, 0, 1), kernel, padding="valid", data_format="channels_last")
    return ops.swapaxes(φ(a + b_h), 0, 1), state


def _delayed(xs: Tensor, state: State, kernel: Tensor) -> tuple[Tensor, State]:
    """The inputs with those before them, (K-1 + T, B, I), and the last K-1 of them as the next state."""
    (taps,) = state
    K, I, _ = kernel.shape
    before = ops.swapaxes(ops.reshape(taps, (ops.shape(taps)[0], K - 1, I)), 0, 1)
    delayed = ops.concatenate([before, xs])
    after = ops.swapaxes(delayed[ops.shape(xs)[0] :], 0, 1)
    return delayed, (ops.reshape(after, ops.shape(taps)),)


def pack(weights: Weights) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as Keras stores them."""
    return [weights["W_xh"][::-1].copy(), weights["b_h"]]


def unpack(p: Sequence[np.ndarray]) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    kernel, b_h = p
    return {"W_xh": kernel[::-1], "b_h": b_h}
