"""Continuous Hopfield network in Keras.

    S = (W_hh + W_hhᵀ) / 2
    u ← u + δ (-u + tanh(u) S + x_t W_xh + b_h)          n times for each x_t
    h_t = tanh(u_t)

J. J. Hopfield, Neurons with graded response have collective computational properties like those of
two-state neurons, PNAS 81, 1984.
Stored are W_xh (I, H), W_hh (H, H), b_h (H,).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops

from harness.backends.keras.engines import State, Tensor
from harness.model.cell import Value

NAMES = ("W_xh", "W_hh", "b_h")
OUTPUT_IS_STATE = False  # the state is u


def project(xs: Tensor, params: Sequence[Tensor]) -> Tensor:
    """What the inputs add to u: xs (…, I), of one step or of all -> (…, H)."""
    W_xh, _, b_h = params
    return ops.matmul(xs, W_xh) + b_h


def once(params: Sequence[Tensor]) -> list[Tensor]:
    """S (H, H)."""
    _, W_hh, _ = params
    return [(W_hh + ops.transpose(W_hh)) / 2]


def step(
    a: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """One time step: the projected input a (B, H) and the state (u (B, H),) -> h and the next state;
    params is what `once` gives."""
    (u,), (S,) = state, params
    n, δ = int(options["substeps"]), float(options["step_size"])
    for _ in range(n):
        u = u + δ * (ops.matmul(ops.tanh(u), S) + a - u)
    return ops.tanh(u), (u,)


def pack(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [weights[name] for name in NAMES]


def unpack(params: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for weights and for gradients."""
    return dict(zip(NAMES, params, strict=True))
