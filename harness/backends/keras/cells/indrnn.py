"""Independently recurrent network in Keras.

    h_t = max(0, x_t W_xh + u ∘ h_{t-1} + b_h)

S. Li et al., Independently recurrent neural network (IndRNN): building a longer and deeper RNN,
CVPR 2018.
Stored are W_xh (I, H), u (H,), b_h (H,).
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from harness.backends.base import Weights
from harness.backends.keras.cells import Options, Packed, State, Tensor

NAMES = ("W_xh", "u", "b_h")


def project(xs: Tensor, p: Packed) -> Tensor:
    """What the inputs add to h_t: xs (…, I), of one step or of all -> (…, H)."""
    W_xh, _, b_h = p
    return ops.matmul(xs, W_xh) + b_h


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, H) and the state (h (B, H),) -> h and the next state."""
    (h,) = state
    _, u, _ = p
    h = ops.relu(xw + u * h)
    return h, (h,)


def pack(weights: Weights) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [weights[name] for name in NAMES]


def unpack(p: Sequence[np.ndarray]) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return dict(zip(NAMES, p, strict=True))
