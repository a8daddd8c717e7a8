"""Echo state network in Keras.

    h_t = (1 - α) h_{t-1} + α tanh(x_t W_xh + h_{t-1} W_hh + b_h)

H. Jaeger, The “echo state” approach to analysing and training recurrent neural networks, GMD Report 148,
2001; leaky units: H. Jaeger et al., Neural Networks 20(3), 2007.
Stored are W_xh (I, H), W_hh (H, H), b_h (H,), none of them trained.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops

from harness.backends.keras.engines import State, Tensor
from harness.model.cell import Value

NAMES = ("W_xh", "W_hh", "b_h")


def project(xs: Tensor, params: Sequence[Tensor]) -> Tensor:
    """What the inputs add to h_t: xs (…, I), of one step or of all -> (…, H)."""
    W_xh, _, b_h = params
    return ops.matmul(xs, W_xh) + b_h


def step(
    a: Tensor, state: State, params: Sequence[Tensor], options: Mapping[str, Value]
) -> tuple[Tensor, State]:
    """One time step: the projected input a (B, H) and the state (h (B, H),) -> h and the next state."""
    (h,), α = state, float(options["leak"])
    _, W_hh, _ = params
    h = (1 - α) * h + α * ops.tanh(a + ops.matmul(h, W_hh))
    return h, (h,)


def pack(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [weights[name] for name in NAMES]


def unpack(params: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for weights and for gradients."""
    return dict(zip(NAMES, params, strict=True))
