"""Independently recurrent network in Keras.

    h_t = max(0, x_t W_xh + u ∘ h_{t-1} + b_h)

S. Li et al., Independently recurrent neural network (IndRNN): building a longer and deeper RNN,
CVPR 2018.
Stored are W_xh (I, H), u (H,), b_h (H,).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops

from harness.backends.keras.engines import State, Tensor
from harness.model.cell import Value

NAMES = ("W_xh", "u", "b_h")


def project(xs: Tensor, params: Sequence[Tensor]) -> Tensor:
    """What the inputs add to h_t: xs (…, I), of one step or of all -> (…, H)."""
    W_xh, _, b_h = params
    return ops.matmul(xs, W_xh) + b_h


def step(
    a: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """One time step: the projected input a (B, H) and the state (h (B, H),) -> h and the next state."""
    (h,) = state
    _, u, _ = params
    h = ops.relu(a + u * h)
    return h, (h,)


def pack(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [weights[name] for name in NAMES]


def unpack(params: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for weights and for gradients."""
    return dict(zip(NAMES, params, strict=True))
