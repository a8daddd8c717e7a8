"""Minimal long short-term memory in Keras.

    f_t = σ(x_t W_xf + b_f)                      forget gate
    i_t = σ(x_t W_xi + b_i)                      input gate
    n_t = x_t W_xn + b_n                         candidate
    h_t = (f_t ∘ h_{t-1} + i_t ∘ n_t) / (f_t + i_t)

L. Feng et al., Were RNNs all we needed?, 2024 (arXiv:2410.01201).
Stored are W_x (I, 3H), b (3H,), the gates side by side in the order of `GATES`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops

from harness.backends.keras.cells import apart, beside
from harness.backends.keras.engines import State, Tensor
from harness.backends.keras.scan import linear
from harness.model.cell import Value

GATES = ("f", "i", "n")


def project(xs: Tensor, params: Sequence[Tensor]) -> Tensor:
    """The gates: xs (…, I), of one step or of all -> (…, 3H)."""
    W_x, b = params
    return ops.matmul(xs, W_x) + b


def step(
    a: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """One time step: the gates a (B, 3H) and the state (h (B, H),) -> h and the next state."""
    (h,) = state
    keep, new = _coefficients(a)
    h = keep * h + new
    return h, (h,)


def scan(
    a: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """All time steps at once: the gates a (T, B, 3H) and the state (h (B, H),) -> all h (T, B, H) and
    the last state."""
    (h,) = state
    hs = linear(*_coefficients(a), h)
    return hs, (hs[-1],)


def _coefficients(a: Tensor) -> tuple[Tensor, Tensor]:
    """What multiplies h_{t-1}, and what is added, of the gates (…, 3H)."""
    f, i, n = ops.split(a, 3, axis=-1)
    f, i = ops.sigmoid(f), ops.sigmoid(i)
    return f / (f + i), i * n / (f + i)


def pack(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [beside(weights, "W_x", GATES), beside(weights, "b_", GATES)]


def unpack(params: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for weights and for gradients."""
    W_x, b = params
    return apart(W_x, "W_x", GATES) | apart(b, "b_", GATES)
