"""Continuous Hopfield network in Keras.

    S = (W_hh + W_hhᵀ) / 2
    u ← u + δ (-u + tanh(u) S + x_t W_xh + b_h)          n times for each x_t
    h_t = tanh(u_t)

Stored are W_xh (I, H), W_hh (H, H), b_h (H,).
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor


def precompute(p: Packed) -> list[Tensor]:
    """S (H, H)."""
    _, W_hh, _ = p
    return [(W_hh + ops.transpose(W_hh)) / 2]


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, H) and the state (u (B, H),) -> h and the next state;
    p is what `precompute` gives."""
    (u,), (S,) = state, p
    n, δ = int(options["substeps"]), float(options["step_size"])
    for _ in range(n):
        u = u + δ * (ops.matmul(ops.tanh(u), S) + xw - u)
    return ops.tanh(u), (u,)


pack, unpack = gates.packing("W_xh", "W_hh", "b_h")
