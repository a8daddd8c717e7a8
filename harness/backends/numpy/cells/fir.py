"""Finite impulse recurrent network; feature-major arrays (·, T, B).

    h_t = φ(Σ_{k<K} x_{t-k} W[k] + b)

With the K - 1 inputs of the state before it, the sequence is z (I, K-1+T, B), and tap k reads z from
K-1-k on: one matrix product for each tap. Backward, with da the gradient by the sum:

    dW[k] = Σ_{T,B} z_{·-k} daᵀ          db = Σ_{T,B} da          dz_{t-k} += W[k] da_t
"""

from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options


def sequence(xs: Array, state: list[Array], p: Weights, options: Options) -> tuple[Array, list[Array], Any]:
    """xs (I, T, B) and the state ((K-1)·I, B) -> ys (H, T, B), the state after it, and what is
    saved for the backward pass."""
    (K, I, H), (_, T, B) = p["W_xh"].shape, xs.shape
    taps = state[0].reshape(K - 1, I, B).transpose(1, 0, 2)
    z = np.concatenate([taps, xs], axis=1)
    y = np.repeat(p["b_h"][:, None], T * B, axis=1)
    for k in range(K):
        y += p["W_xh"][k].T @ z[:, K - 1 - k : K - 1 - k + T].reshape(I, -1)
    y = np.maximum(y, 0, out=y) if options["activation"] == "relu" else np.tanh(y, out=y)
    final = z[:, T:].transpose(1, 0, 2).reshape((K - 1) * I, B)
    return y.reshape(H, T, B), [final], (z, y)


def sequence_backward(
    dys: Array, saved: Any, p: Weights, dp: Weights, options: Options
) -> tuple[Array, list[Array], Array]:
    """The gradients by x and by the state before it, from dys (H, T, B); and dys itself."""
    z, y = saved
    (K, I, _), (H, T, B) = p["W_xh"].shape, dys.shape
    da = dys.reshape(H, -1) * _slope(y, options)
    dz = np.zeros_like(z)
    dp["b_h"] += da.sum(axis=1)
    for k in range(K):
        seen = slice(K - 1 - k, K - 1 - k + T)
        dp["W_xh"][k] += z[:, seen].reshape(I, -1) @ da.T
        dz[:, seen] += (p["W_xh"][k] @ da).reshape(I, T, B)
    dstate = dz[:, : K - 1].transpose(1, 0, 2).reshape((K - 1) * I, B)
    return dz[:, K - 1 :], [dstate], dys


def _slope(y: Array, options: Options) -> Array:
    """φ' in terms of y = φ(a)."""
    return (y > 0).astype(y.dtype) if options["activation"] == "relu" else 1 - y * y
