"""Long short-term memory with peepholes in Keras.

    i_t = σ(x_t W_xi + h_{t-1} W_hi + p_i ∘ c_{t-1} + b_i)          input gate
    f_t = σ(x_t W_xf + h_{t-1} W_hf + p_f ∘ c_{t-1} + b_f)          forget gate
    g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)                       candidate
    c_t = f_t ∘ c_{t-1} + i_t ∘ g_t
    o_t = σ(x_t W_xo + h_{t-1} W_ho + p_o ∘ c_t + b_o)              output gate
    h_t = o_t ∘ tanh(c_t)

F. Gers, N. Schraudolph, J. Schmidhuber, Learning precise timing with LSTM recurrent networks,
JMLR 3, 2002.
Stored are W_x (I, 4H), W_h (H, 4H), b (4H,), the gates side by side in the order of `GATES`, and
p (3, H), the peepholes in the order of `PEEPHOLES`.
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from harness.backends.base import Weights
from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor

GATES = ("i", "f", "g", "o")
PEEPHOLES = ("i", "f", "o")


def project(xs: Tensor, p: Packed) -> Tensor:
    """What the inputs add to the gates: xs (…, I), of one step or of all -> (…, 4H)."""
    W_x, _, b, _ = p
    return ops.matmul(xs, W_x) + b


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
    return [*gates.pack(weights, GATES), np.stack([weights[f"p_{gate}"] for gate in PEEPHOLES])]


def unpack(p: Sequence[np.ndarray]) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    *gate_arrays, rows = p
    peepholes = {f"p_{gate}": row for gate, row in zip(PEEPHOLES, rows, strict=True)}
    return gates.unpack(gate_arrays, GATES) | peepholes
