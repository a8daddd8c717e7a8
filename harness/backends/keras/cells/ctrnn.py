"""Continuous-time recurrent network in Keras.

    dh/dt = -h / τ + tanh(h) W_hh + x_t W_xh + b_h          τ = exp(log_tau)
    h ← h + (dh/dt) / n                                     n times for each x_t
    h_t = h

K. Funahashi, Y. Nakamura, Approximation of dynamical systems by continuous time recurrent neural
networks, Neural Networks 6(6), 1993.
Stored are W_xh (I, H), W_hh (H, H), b_h (H,), log_tau (H,).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops

from harness.backends.keras.engines import State, Tensor
from harness.model.cell import Value

NAMES = ("W_xh", "W_hh", "b_h", "log_tau")


def project(xs: Tensor, params: Sequence[Tensor]) -> Tensor:
    """What the inputs add to dh/dt: xs (…, I), of one step or of all -> (…, H)."""
    W_xh, _, b_h, _ = params
    return ops.matmul(xs, W_xh) + b_h


def once(params: Sequence[Tensor]) -> list[Tensor]:
    """W_hh (H, H) and 1 / τ (H,)."""
    _, W_hh, _, log_tau = params
    return [W_hh, ops.exp(-log_tau)]


def step(
    a: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """One time step: the projected input a (B, H) and the state (h (B, H),) -> h and the next state;
    params is what `once` gives."""
    (h,), n = state, int(options["substeps"])
    W_hh, rate = params
    for _ in range(n):
        h = h + (ops.matmul(ops.tanh(h), W_hh) + a - rate * h) / n
    return h, (h,)


def pack(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [weights[name] for name in NAMES]


def unpack(params: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for weights and for gradients."""
    return dict(zip(NAMES, params, strict=True))
