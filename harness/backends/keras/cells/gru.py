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

from harness.backends.keras.engines import Tensor

GATES = ("z", "r", "n")  # Keras writes h for the candidate n


def project(xs: Tensor, params: Sequence[Tensor]) -> Tensor:
    """What the inputs add to the gates, all time steps in one product: xs (T, B, I) -> (T, B, 3H)."""
    W_x, _, b = params
    return ops.matmul(xs, W_x) + b[0]


def step(a: Tensor, state: tuple[Tensor, ...], params: Sequence[Tensor], options: Mapping[str, str]) -> tuple:
    """One time step: the projected input a (B, 3H) and the state (h (B, H),) -> the next state."""
    (h,) = state
    _, W_h, b = params
    az, ar, an = ops.split(a, 3, axis=-1)
    hz, hr, hn = ops.split(ops.matmul(h, W_h), 3, axis=-1)
    _, _, b_hn = ops.split(b[1], 3)
    r = ops.sigmoid(ar + hr)
    z = ops.sigmoid(az + hz)
    n = ops.tanh(an + r * (hn + b_hn))
    h = (1 - z) * n + z * h
    return (h,)


def fused(hidden: int, options: Mapping[str, str], **keywords: Any) -> keras.Layer:
    """Keras' own layer."""
    return keras.layers.GRU(hidden, reset_after=True, **keywords)


def pack(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as Keras stores them."""
    zero = np.zeros_like(weights["b_hn"])
    recurrent_bias = {"z": zero, "r": zero, "n": weights["b_hn"]}
    return [
        np.concatenate([weights[f"W_x{gate}"] for gate in GATES], axis=1),
        np.concatenate([weights[f"W_h{gate}"] for gate in GATES], axis=1),
        np.stack(
            [
                np.concatenate([weights[f"b_{gate}"] for gate in GATES]),
                np.concatenate([recurrent_bias[gate] for gate in GATES]),
            ]
        ),
    ]


def unpack(params: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for weights and for gradients."""
    W_x, W_h, b = (dict(zip(GATES, np.split(param, 3, axis=-1), strict=True)) for param in params)
    found = {"b_hn": b["n"][1]}
    for gate in GATES:
        found |= {f"W_x{gate}": W_x[gate], f"W_h{gate}": W_h[gate], f"b_{gate}": b[gate][0]}
    return found
