"""Gated recurrent unit (reset before the product), pointwise; feature-major arrays (·, B).

    r, z = σ(a)          n_t = tanh(a_n + q_t W_hn) with q_t = r_t ∘ h_{t-1}
    h_t = n_t + z_t ∘ (h_{t-1} - n_t)

Backward, with dh the gradient by h_t:

    da_n = dh ∘ (1 - z) ∘ (1 - n²)          dq = da_n W_hnᵀ          dW_hn = Σ_B q da_nᵀ
    da_r = dq ∘ h_{t-1} ∘ r ∘ (1 - r)       da_z = dh ∘ (h_{t-1} - n) ∘ z ∘ (1 - z)
    dh_{t-1} = dh ∘ z + dq ∘ r              (and through the products of r and z)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State, outer, sigmoid

X_GATES = ("n", "r", "z")
H_GATES = ("r", "z")
SHARED = 2


class Tape:
    """What the way back needs: the gates r and z, the candidate n, and q = r ∘ h_{t-1}."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.slots = slots
        self.b = np.empty((slots, 2 * hidden, batch), dtype)
        self.n = np.empty((slots, hidden, batch), dtype)
        self.q = np.empty((slots, hidden, batch), dtype)

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        slot, (h_prev,) = k % self.slots, prev
        n, q = self.n[slot], self.q[slot]
        r, z = np.split(sigmoid(b, out=b), 2)
        np.multiply(r, h_prev, out=q)
        np.matmul(p["W_hn"].T, q, out=n)
        n += a
        np.tanh(n, out=n)
        np.subtract(h_prev, n, out=y)
        y *= z
        y += n
        return (y,)

    def backward(
        self,
        k: int,
        dy: np.ndarray,
        d: list[np.ndarray],
        prev: State,
        new: State,
        p: Weights,
        dp: Weights,
        da: np.ndarray,
    ) -> None:
        (dh,), (h_prev,), n, q = d, prev, self.n[k], self.q[k]
        r, z = np.split(self.b[k], 2)
        da_n, da_r, da_z = np.split(da, 3)
        da_n[...] = dh * (1 - z) * (1 - n * n)
        da_z[...] = dh * (h_prev - n) * z * (1 - z)
        dq = p["W_hn"] @ da_n
        dp["W_hn"] += outer(q, da_n)
        da_r[...] = dq * h_prev * r * (1 - r)
        dh *= z
        dh += dq * r
