"""Recursive network over a balanced binary tree in PyTorch.

    leaf:   h = tanh(x_t W_xh + b_h)
    node:   h = tanh(a W_ah + b W_bh + b_c)          a, b its left and right child
    output: the root's h

W_ah and W_bh are stored side by side: all nodes of a level are one product.
"""

import numpy as np
import torch
from torch.nn import functional

from harness.backends.base import Weights
from harness.backends.torch.cells import Options, Packed, State


def sequence(xs: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """The root (1, B, H) of the tree over xs (T, B, I)."""
    h = functional.linear(xs, p["weight_ih"], p["bias_ih"]).tanh()
    while len(h) > 1:
        paired = len(h) // 2 * 2
        children = torch.cat([h[0:paired:2], h[1:paired:2]], dim=2)
        nodes = functional.linear(children, p["weight_c"], p["bias_c"]).tanh()
        h = torch.cat([nodes, h[paired:]])  # a last one without a neighbour goes up as it is
    return h, state


def pack(weights: Weights) -> Weights:
    """Canonical parameters to what is stored."""
    return {
        "weight_ih": weights["W_xh"].T,
        "bias_ih": weights["b_h"],
        "weight_c": np.concatenate([weights["W_ah"], weights["W_bh"]]).T,
        "bias_c": weights["b_c"],
    }


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    W_ah, W_bh = np.split(packed["weight_c"].T, 2)
    return {
        "W_xh": packed["weight_ih"].T,
        "b_h": packed["bias_ih"],
        "W_ah": W_ah,
        "W_bh": W_bh,
        "b_c": packed["bias_c"],
    }
