"""Gated recurrent unit (reset after the product), pointwise; feature-major arrays (·, B).

Forward, as in `harness/cells/gru.py`, with q_t = h_{t-1} W_hn + b_hn:

    r, z = σ(a)          n_t = tanh(a_n + r_t ∘ q_t)          h_t = n_t + z_t ∘ (h_{t-1} - n_t)

Backward, with dh the gradient of the loss by h_t:

    dn = dh ∘ (1 - z_t)          dz = dh ∘ (h_{t-1} - n_t)          da_n = dn ∘ (1 - n_t²)
    dr = da_n ∘ q_t              dq = da_n ∘ r_t                    da = d· ∘ s ∘ (1 - s) for r, z
    dh_{t-1} = dh ∘ z_t          (the rest goes through the matrices)

The x side is ordered n, r, z and the h side r, z, n, so that r and z share their rows of `da`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State

X_GATES = ("n", "r", "z")
H_GATES = ("r", "z", "n")
SHARED = 2
HALVED = ("r", "z")
H_BIASES: Mapping[str, str] = {"b_hn": "n"}


class Tape:
    """What the way back needs: r, z, n and q for every step kept."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.slots, self.H = slots, hidden
        self.rz = np.empty((slots, 2 * hidden, batch), dtype)
        self.n = np.empty((slots, hidden, batch), dtype)
        self.q = np.empty((slots, hidden, batch), dtype)
        self.scratch = np.empty((2 * hidden, batch), dtype)

    def forward(
        self, k: int, a: np.ndarray, hs: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        H, slot, (h_prev,) = self.H, k % self.slots, prev
        rz, n, q = self.rz[slot], self.n[slot], self.q[slot]
        np.add(a[H:], hs[: 2 * H], out=rz)
        np.tanh(rz, out=rz)
        rz *= 0.5
        rz += 0.5
        r, z = rz[:H], rz[H:]
        np.add(hs[2 * H :], p["b_hn"][:, None], out=q)
        np.multiply(r, q, out=n)
        n += a[:H]
        np.tanh(n, out=n)
        step = self.scratch[:H]
        np.subtract(h_prev, n, out=step)
        step *= z
        np.add(step, n, out=y)
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
        H, rz, n, q, (dh,), (h_prev,) = self.H, self.rz[k], self.n[k], self.q[k], d, prev
        r, z = rz[:H], rz[H:]
        da_n, da_r, da_z, dq = da[:H], da[H : 2 * H], da[2 * H : 3 * H], da[3 * H :]
        slope, part = self.scratch, self.scratch[:H]
        np.subtract(1, z, out=part)
        part *= dh
        np.multiply(n, n, out=da_n)
        np.subtract(1, da_n, out=da_n)
        da_n *= part
        np.multiply(da_n, r, out=dq)
        np.multiply(rz, rz, out=slope)
        np.subtract(rz, slope, out=slope)
        np.multiply(da_n, q, out=da_r)
        da_r *= slope[:H]
        np.subtract(h_prev, n, out=da_z)
        da_z *= dh
        da_z *= slope[H:]
        dh *= z
