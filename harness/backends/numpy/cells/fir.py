"""Finite impulse recurrent network; feature-major arrays (·, T, B).

    h_t = φ(Σ_{k<K} x_{t-k} W[k] + b)

With the K - 1 inputs of the state before it, the sequence is z (I, K-1+T, B), and tap k reads z from
K-1-k on: one matrix product for each tap. Backward, with da the gradient by the sum:

    dW[k] = Σ_{T,B} z_{·-k} daᵀ          db = Σ_{T,B} da          dz_{t-k} += W[k] da_t
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
    """x (I, T, B) and the state ((K-1)·I, B) -> y (H, T, B), the state after it, and what was kept."""
    (K, I, H), (_, T, B) = p["W_xh"].shape, x.shape
    taps = start[0].reshape(K - 1, I, B).transpose(1, 0, 2)
    z = np.concatenate([taps, x], axis=1)
    y = np.repeat(p["b_h"][:, None], T * B, axis=1)
    for k in range(K):
        y += p["W_xh"][k].T @ z[:, K - 1 - k : K - 1 - k + T].reshape(I, -1)
    y = np.maximum(y, 0, out=y) if options["activation"] == "relu" else np.tanh(y, out=y)
    final = z[:, T:].transpose(1, 0, 2).reshape((K - 1) * I, B)
    return y.reshape(H, T, B), [final], (z, y)


def backward(
    p: Weights, dp: Weights, dy: np.ndarray, saved: Any, options: Options
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """The gradients by x and by the state before it, from dy (H, T, B); and dy itself."""
    z, y = saved
    (K, I, _), (H, T, B) = p["W_xh"].shape, dy.shape
    da = dy.reshape(H, -1) * _slope(y, options)
    dz = np.zeros_like(z)
    dp["b_h"] += da.sum(axis=1)
    for k in range(K):
        seen = slice(K - 1 - k, K - 1 - k + T)
        dp["W_xh"][k] += z[:, seen].reshape(I, -1) @ da.T
        dz[:, seen] += (p["W_xh"][k] @ da).reshape(I, T, B)
    dstart = dz[:, : K - 1].transpose(1, 0, 2).reshape((K - 1) * I, B)
    return dz[:, K - 1 :], [dstart], dy


def _slope(y: np.ndarray, options: Options) -> np.ndarray:
    """φ' in terms of y = φ(a)."""
    return (y > 0).astype(y.dtype) if options["activation"] == "relu" else 1 - y * y
