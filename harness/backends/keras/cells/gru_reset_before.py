"""Gated recurrent unit in Keras, reset gate before the matrix product.

    r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)                       reset gate
    z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)                       update gate
    n_t = tanh(x_t W_xn + (r_t ∘ h_{t-1}) W_hn + b_n)            candidate
    h_t = (1 - z_t) ∘ n_t + z_t ∘ h_{t-1}

Keras stores W_x (I, 3H), W_h (H, 3H), b (3H,).
"""

from typing import Any

import keras
from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor
from harness.model.network import ModelSpec


def precompute(p: Packed) -> list[Tensor]:
    """The recurrent weights of z and r side by side (H, 2H), and those of n (H, H)."""
    W_hz, W_hr, W_hn = ops.split(p[1], 3, axis=-1)
    return [ops.concatenate([W_hz, W_hr], axis=-1), W_hn]


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, 3H) and the state (h (B, H),) -> h and the next state;
    p is what `precompute` gives."""
    (h,) = state
    W_hzr, W_hn = p
    az, ar, an = ops.split(xw, 3, axis=-1)
    hz, hr = ops.split(ops.matmul(h, W_hzr), 2, axis=-1)
    r = ops.sigmoid(ar + hr)
    z = ops.sigmoid(az + hz)
    n = ops.tanh(an + ops.matmul(r * h, W_hn))
    h = (1 - z) * n + z * h
    return h, (h,)


def fused_layer(spec: ModelSpec, **keywords: Any) -> keras.Layer:
    """Keras' own layer."""
    return keras.layers.GRU(spec.hidden, reset_after=False, **keywords)


# Keras writes h for the candidate n
pack, unpack = gates.packing("W_xz W_xr W_xn", "W_hz W_hr W_hn", "b_z b_r b_n")
