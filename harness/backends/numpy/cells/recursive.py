"""Recursive network over a balanced binary tree; feature-major arrays (·, T, B).

    leaf:  h = tanh(x_t W_xh + b_h)          node:  h = tanh(a W_ah + b W_bh + b_c)

All nodes of a level are one matrix product. Backward, from the root down, with ds the gradient by a
node's pre-activation:  dW_ah = Σ a dsᵀ,  dW_bh = Σ b dsᵀ,  da = W_ah ds,  db = W_bh ds.
"""

from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options


def sequence(xs: Array, state: list[Array], p: Weights, options: Options) -> tuple[Array, list[Array], Any]:
    """xs (I, T, B) -> the root (H, 1, B), no state, and the nodes of every level, leaves first."""
    flat = np.ascontiguousarray(xs).reshape(len(xs), -1)
    leaves = np.tanh(p["W_xh"].T @ flat + p["b_h"][:, None]).reshape(-1, *xs.shape[1:])
    levels = [leaves]
    while levels[-1].shape[1] > 1:
        below = levels[-1]
        a, b = _children(below)
        s = p["W_ah"].T @ a + p["W_bh"].T @ b + p["b_c"][:, None]
        nodes = np.tanh(s).reshape(len(s), -1, below.shape[2])
        odd = below[:, 2 * nodes.shape[1] :]  # a last one without a neighbour goes up as it is
        levels.append(np.concatenate([nodes, odd], axis=1))
    return levels[-1], [], (flat, levels)


def sequence_backward(
    dys: Array, saved: Any, p: Weights, dp: Weights, options: Options
) -> tuple[Array, list[Array], Array]:
    """The gradient by x, no state's, and the one by the leaves (H, T, B), from dys (H, 1, B)."""
    flat, levels = saved
    d = dys
    for below, nodes in zip(levels[-2::-1], levels[:0:-1], strict=True):
        pairs, B = below.shape[1] // 2, below.shape[2]
        h = nodes[:, :pairs]
        ds = (d[:, :pairs] * (1 - h * h)).reshape(len(h), -1)
        a, b = _children(below)
        dp["W_ah"] += a @ ds.T
        dp["W_bh"] += b @ ds.T
        dp["b_c"] += ds.sum(axis=1)
        lower = np.empty_like(below)
        lower[:, 0 : 2 * pairs : 2] = (p["W_ah"] @ ds).reshape(-1, pairs, B)
        lower[:, 1 : 2 * pairs : 2] = (p["W_bh"] @ ds).reshape(-1, pairs, B)
        lower[:, 2 * pairs :] = d[:, pairs:]
        d = lower
    leaves = levels[0]
    da = (d * (1 - leaves * leaves)).reshape(len(leaves), -1)
    dp["W_xh"] += flat @ da.T
    dp["b_h"] += da.sum(axis=1)
    dxs = (p["W_xh"] @ da).reshape(-1, *leaves.shape[1:])
    return dxs, [], d


def _children(level: Array) -> tuple[Array, Array]:
    """Left and right children (H, pairs·B) of a level (H, n, B)."""
    pairs = level.shape[1] // 2
    a, b = level[:, 0 : 2 * pairs : 2], level[:, 1 : 2 * pairs : 2]
    return a.reshape(len(level), -1), b.reshape(len(level), -1)
