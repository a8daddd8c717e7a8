"""Multilayer perceptron over the flattened sequence; feature-major arrays (·, T, B).

h = φ(Σ_t x_t W[t] + b)          dW = x daᵀ          db = Σ_B da          dx = W da
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights

X_GATES: tuple[str, ...] = ()
H_GATES: tuple[str, ...] = ()

Options = Mapping[str, Any]


def forward(
    p: Weights, x: np.ndarray, start: list[np.ndarray], options: Options
) -> tuple[np.ndarray, list[np.ndarray], Any]:
    """x (I, T, B) -> y (H, 1, B), no state, and what was kept."""
    (T, I, H), B = p["W_xh"].shape, x.shape[2]
    flat = np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(T * I, B)
    y = p["W_xh"].reshape(T * I, H).T @ flat
    y += p["b_h"][:, None]
    y = np.maximum(y, 0, out=y) if options["activation"] == "relu" else np.tanh(y, out=y)
    return y[:, None], [], (flat, y)


def backward(
    p: Weights, dp: Weights, dy: np.ndarray, saved: Any, options: Options
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """The gradient by x, no state's, and dy itself, from dy (H, 1, B)."""
    flat, y = saved
    T, I, H = p["W_xh"].shape
    da = dy[:, 0] * _slope(y, options)
    dp["b_h"] += da.sum(axis=1)
    dp["W_xh"] += (flat @ da.T).reshape(T, I, H)
    dx = (p["W_xh"].reshape(T * I, H) @ da).reshape(T, I, -1).transpose(1, 0, 2)
    return dx, [], dy


def _slope(y: np.ndarray, options: Options) -> np.ndarray:
    """φ' in terms of y = φ(a)."""
    return (y > 0).astype(y.dtype) if options["activation"] == "relu" else 1 - y * y
