"""Long short-term memory with peepholes in Keras.

    i_t = σ(x_t W_xi + h_{t-1} W_hi + p_i ∘ c_{t-1} + b_i)          input gate
    f_t = σ(x_t W_xf + h_{t-1} W_hf + p_f ∘ c_{t-1} + b_f)          forget gate
    g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)                       candidate
    c_t = f_t ∘ c_{t-1} + i_t ∘ g_t
    o_t = σ(x_t W_xo + h_{t-1} W_ho + p_o ∘ c_t + b_o)              output gate
    h_t = o_t ∘ tanh(c_t)

Stored are W_x (I, 4H), W_h (H, 4H), b (4H,), and p (3, H), the peepholes in the order of `PEEPHOLES`.
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from harness.backends.base import Weights
from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor

PEEPHOLES = ("p_i", "p_f", "p_o")
pack_gates, unpack_gates = gates.packing("W_xi W_xf W_xg W_xo", "W_hi W_hf W_hg W_ho", "b_i b_f b_g b_o")


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, 4H) and the state (h, c), each (B, H) -> h and the next
    state."""
    h, c = state
    _, W_h, _, peepholes = p
    p_i, p_f, p_o = peepholes[0], peepholes[1], peepholes[2]
    i, f, g, o = ops.split(xw + ops.matmul(h, W_h), 4, axis=-1)
    i, f, g = ops.sigmoid(i + p_i * c), ops.sigmoid(f + p_f * c), ops.tanh(g)
    c = f * c + i * g
    o = ops.sigmoid(o + p_o * c)
    h = o * ops.tanh(c)
    return h, (h, c)


def pack(weights: Weights) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [*pack_gates(weights), np.stack([weights[name] for name in PEEPHOLES])]


def unpack(p: Sequence[np.ndarray]) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    *gate_arrays, rows = p
    return unpack_gates(gate_arrays) | dict(zip(PEEPHOLES, rows, strict=True))
