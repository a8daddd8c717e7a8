"""Continuous-time recurrent network in Keras.

    dh/dt = -h / τ + tanh(h) W_hh + x_t W_xh + b_h          τ = exp(log_tau)
    h ← h + (dh/dt) / n                                     n times for each x_t
    h_t = h

Stored are W_xh (I, H), W_hh (H, H), b_h (H,), log_tau (H,).
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor


def precompute(p: Packed) -> list[Tensor]:
    """W_hh (H, H) and 1 / τ (H,)."""
    _, W_hh, _, log_tau = p
    return [W_hh, ops.exp(-log_tau)]


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, H) and the state (h (B, H),) -> h and the next state;
    p is what `precompute` gives."""
    (h,), n = state, int(options["substeps"])
    W_hh, rate = p
    for _ in range(n):
        h = h + (ops.matmul(ops.tanh(h), W_hh) + xw - rate * h) / n
    return h, (h,)


pack, unpack = gates.packing("W_xh", "W_hh", "b_h", "log_tau")
