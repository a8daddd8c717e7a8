"""Gated recurrent unit in Keras, reset gate after the matrix product.

    r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)                       reset gate
    z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)                       update gate
    n_t = tanh(x_t W_xn + b_n + r_t ∘ (h_{t-1} W_hn + b_hn))     candidate
    h_t = (1 - z_t) ∘ n_t + z_t ∘ h_{t-1}

K. Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014.
Keras stores W_x (I, 3H), W_h (H, 3H), b (2, 3H), the gates side by side in the order of `GATES`. The
second row of b is added to h W_h: its candidate third is b_hn, the others are redundant and stay zero.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from harness.backends.keras.cells import apart, beside
from harness.backends.keras.engines import State, Tensor
from harness.model.cell import Value

GATES = ("z", "r", "n")  # Keras writes h for the candidate n


def project(xs: Tensor, params: Sequence[Tensor]) -> Tensor:
    """What the inputs add to the gates: xs (…, I), of one step or of all -> (…, 3H)."""
    W_x, _, b = params
    return ops.matmul(xs, W_x) + b[0]


def step(
    a: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """One time step: the projected input a (B, 3H) and the state (h (B, H),) -> h and the next state."""
    (h,) = state
    _, W_h, b = params
    az, ar, an = ops.split(a, 3, axis=-1)
    hz, hr, hn = ops.split(ops.matmul(h, W_h), 3, axis=-1)
    _, _, b_hn = ops.split(b[1], 3)
    r = ops.sigmoid(ar + hr)
    z = ops.sigmoid(az + hz)
    n = ops.tanh(an + r * (hn + b_hn))
    h = (1 - z) * n + z * h
    return h, (h,)


def fused(hidden: int, options: Mapping[str, Value], **keywords: Any) -> keras.Layer:
    """Keras' own layer."""
    return keras.layers.GRU(hidden, reset_after=True, **keywords)


def pack(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as Keras stores them."""
    zero = np.zeros_like(weights["b_hn"])
    b = np.stack([beside(weights, "b_", GATES), np.concatenate([zero, zero, weights["b_hn"]])])
    return [beside(weights, "W_x", GATES), beside(weights, "W_h", GATES), b]


def unpack(params: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for weights and for gradients."""
    W_x, W_h, b = params
    found = apart(W_x, "W_x", GATES) | apart(W_h, "W_h", GATES) | apart(b[0], "b_", GATES)
    return found | {"b_hn": np.split(b[1], 3)[2]}
