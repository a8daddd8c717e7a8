"""Recursive network over a balanced binary tree in Keras.

    leaf:   h = tanh(x_t W_xh + b_h)
    node:   h = tanh(a W_ah + b W_bh + b_c)          a, b its left and right child
    output: the root's h

J. B. Pollack, Recursive distributed representations, Artificial Intelligence 46, 1990; R. Socher et al.,
Parsing natural scenes and natural language with recursive neural networks, ICML 2011.
Neighbours are joined in pairs, level by level; a last one without a neighbour goes up as it is. Stored
are W_xh (I, H), b_h (H,), W_ah (H, H), W_bh (H, H), b_c (H,).
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from harness.backends.base import Weights
from harness.backends.keras.cells import Options, Packed, State, Tensor

NAMES = ("W_xh", "b_h", "W_ah", "W_bh", "b_c")


def sequence(xs: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """xs (T, B, I) -> the root's h (1, B, H), and no state; a level is one product for each child."""
    W_xh, b_h, W_ah, W_bh, b_c = p
    h = ops.tanh(ops.matmul(xs, W_xh) + b_h)
    while h.shape[0] > 1:
        paired = h.shape[0] // 2 * 2
        a, b, rest = h[:paired:2], h[1:paired:2], h[paired:]
        h = ops.concatenate([ops.tanh(ops.matmul(a, W_ah) + ops.matmul(b, W_bh) + b_c), rest])
    return h, state


def pack(weights: Weights) -> list[np.ndarray]:
    """Canonical weights of one layer and direction, as they are stored."""
    return [weights[name] for name in NAMES]


def unpack(p: Sequence[np.ndarray]) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return dict(zip(NAMES, p, strict=True))
