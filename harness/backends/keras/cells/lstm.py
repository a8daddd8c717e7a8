"""Long short-term memory in Keras.

    i_t = σ(x_t W_xi + h_{t-1} W_hi + b_i)          input gate
    f_t = σ(x_t W_xf + h_{t-1} W_hf + b_f)          forget gate
    g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)       candidate
    o_t = σ(x_t W_xo + h_{t-1} W_ho + b_o)          output gate
    c_t = f_t ∘ c_{t-1} + i_t ∘ g_t
    h_t = o_t ∘ tanh(c_t)

Keras stores W_x (I, 4H), W_h (H, 4H), b (4H,).
"""

from typing import Any

import keras
from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor
from harness.model.network import ModelSpec


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, 4H) and the state (h, c), each (B, H) -> h and the next
    state."""
    h, c = state
    _, W_h, _ = p
    i, f, g, o = ops.split(xw + ops.matmul(h, W_h), 4, axis=-1)
    i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)
    c = f * c + i * g
    h = o * ops.tanh(c)
    return h, (h, c)


def fused_layer(spec: ModelSpec, **keywords: Any) -> keras.Layer:
    """Keras' own layer."""
    return keras.layers.LSTM(spec.hidden, **keywords)


# Keras writes c for the candidate g
pack, unpack = gates.packing("W_xi W_xf W_xg W_xo", "W_hi W_hf W_hg W_ho", "b_i b_f b_g b_o")
