"""Minimal gated recurrent unit in Keras.

    z_t = σ(x_t W_xz + b_z)                      update gate
    n_t = x_t W_xn + b_n                         candidate
    h_t = (1 - z_t) ∘ h_{t-1} + z_t ∘ n_t

L. Feng et al., Were RNNs all we needed?, 2024 (arXiv:2410.01201).
Stored are W_x (I, 2H), b (2H,), the gates side by side in the order of `GATES`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops

from harness.backends.keras.cells import apart, beside
from harness.backends.keras.engines import State, Tensor
from harness.backends.keras.scan import linear
from harness.model.cell import Value

GATES = ("z", "n")


def project(xs: Tensor, params: Sequence[Tensor]) -> Tensor:
    """The gates: xs (…, I), of one step or of all -> (…, 2H)."""
    W_x, b = params
    return ops.matmul(xs, W_x) + b


def step(
    a: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """One time step: the gates a (B, 2H) and the state (h (B, H),) -> h and the next state."""
    (h,) = state
    keep, new = _coefficients(a)
    h = keep * h + new
    return h, (h,)


def scan(
    a: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """All time steps at once: the gates a (T, B, 2H) and the state (h (B, H),) -> all h (T, B, H) and
    the last state."""
    (h,) = state
    hs = linear(*_coefficients(a), h)
    return hs, (hs[-1],)


def _coefficients(a: Tensor) -> tuple[Tensor, Tensor]:
    """What multiplies h_{t-1}, and what is added, of the gates (…, 2H)."""
    z, n = ops.split(a, 2, axis=-1)
    z = ops.sigmoid(z)
    return 1 - z, z * n


def pack(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [beside(weights, "W_x", GATES), beside(weights, "b_", GATES)]


def unpack(params: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for weights and for gradients."""
    W_x, b = params
    return apart(W_x, "W_x", GATES) | apart(b, "b_", GATES)
