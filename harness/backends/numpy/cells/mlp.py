"""Multilayer perceptron over the flattened sequence; feature-major arrays (·, T, B).

h = φ(Σ_t x_t W[t] + b)          dW = x daᵀ          db = Σ_B da          dx = W da
"""

from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options


def sequence(xs: Array, state: list[Array], p: Weights, options: Options) -> tuple[Array, list[Array], Any]:
    """xs (I, T, B) -> y (H, 1, B), no state, and what the backward pass needs."""
    (T, I, H), B = p["W_xh"].shape, xs.shape[2]
    flat = np.ascontiguousarray(xs.transpose(1, 0, 2)).reshape(T * I, B)
    y = p["W_xh"].reshape(T * I, H).T @ flat
    y += p["b_h"][:, None]
    y = np.maximum(y, 0, out=y) if options["activation"] == "relu" else np.tanh(y, out=y)
    return y[:, None], [], (flat, y)


def sequence_backward(
    dys: Array, saved: Any, p: Weights, dp: Weights, options: Options
) -> tuple[Array, list[Array], Array]:
    """The gradient by x, no state's, and dys itself, from dys (H, 1, B)."""
    flat, y = saved
    T, I, H = p["W_xh"].shape
    da = dys[:, 0] * _slope(y, options)
    dp["b_h"] += da.sum(axis=1)
    dp["W_xh"] += (flat @ da.T).reshape(T, I, H)
    dxs = (p["W_xh"].reshape(T * I, H) @ da).reshape(T, I, -1).transpose(1, 0, 2)
    return dxs, [], dys


def _slope(y: Array, options: Options) -> Array:
    """φ' in terms of y = φ(a)."""
    return (y > 0).astype(y.dtype) if options["activation"] == "relu" else 1 - y * y
