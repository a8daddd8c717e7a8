"""Gated recurrent unit in Keras, reset gate after the matrix product.

    r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)                       reset gate
    z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)                       update gate
    n_t = tanh(x_t W_xn + b_n + r_t ∘ (h_{t-1} W_hn + b_hn))     candidate
    h_t = (1 - z_t) ∘ n_t + z_t ∘ h_{t-1}

Keras stores W_x (I, 3H), W_h (H, 3H), b (2, 3H). The second row of b is added to h W_h: its
candidate third is b_hn, the others are redundant and stay zero.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from harness.backends.base import Weights
from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor
from harness.model.network import ModelSpec

# Keras writes h for the candidate n
pack_gates, unpack_gates = gates.packing("W_xz W_xr W_xn", "W_hz W_hr W_hn", "b_z b_r b_n")


def project(xs: Tensor, p: Packed) -> Tensor:
    """What the inputs add to the gates: xs (…, I), of one step or of all -> (…, 3H)."""
    W_x, _, b = p
    return ops.matmul(xs, W_x) + b[0]


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, 3H) and the state (h (B, H),) -> h and the next state."""
    (h,) = state
    _, W_h, b = p
    az, ar, an = ops.split(xw, 3, axis=-1)
    hz, hr, hn = ops.split(ops.matmul(h, W_h), 3, axis=-1)
    _, _, b_hn = ops.split(b[1], 3)
    r = ops.sigmoid(ar + hr)
    z = ops.sigmoid(az + hz)
    n = ops.tanh(an + r * (hn + b_hn))
    h = (1 - z) * n + z * h
    return h, (h,)


def fused_layer(spec: ModelSpec, **keywords: Any) -> keras.Layer:
    """Keras' own layer."""
    return keras.layers.GRU(spec.hidden, reset_after=True, **keywords)


def pack(weights: Weights) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as Keras stores them."""
    zero = np.zeros_like(weights["b_hn"])
    W_x, W_h, b = pack_gates(weights)
    return [W_x, W_h, np.stack([b, np.concatenate([zero, zero, weights["b_hn"]])])]


def unpack(p: Sequence[np.ndarray]) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    W_x, W_h, b = p
    return unpack_gates([W_x, W_h, b[0]]) | {"b_hn": np.split(b[1], 3)[2]}
