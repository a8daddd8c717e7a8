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
from typing import Any, NamedTuple

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State

X_GATES = ("n", "r", "z")
H_GATES = ("r", "z", "n")
SHARED = 2
HALVED = ("r", "z")
H_BIASES: Mapping[str, str] = {"b_hn": "n"}


class Slot(NamedTuple):
    """Views of one slot (4, H, B), made once, by the names of what is in them."""

    r_z: np.ndarray
    q_m: np.ndarray
    r: np.ndarray
    z: np.ndarray
    q: np.ndarray
    m: np.ndarray
    n: np.ndarray  # of a memory of its own


class Tape:
    """What the way back needs, in one slot for every step: r, z, q and m = h_{t-1} - n; and, apart, n.

    In this order r and z meet q and m in one product.
    """

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        memory = np.empty((slots, 4, hidden, batch), dtype)
        self.b = memory[:, :3].reshape(slots, 3 * hidden, batch)
        n = np.empty((slots, hidden, batch), dtype)
        self.slots = [
            Slot(s[:2], s[2:], s[0], s[1], s[2], s[3], n_k) for s, n_k in zip(memory, n, strict=True)
        ]
        self.slope = np.empty((2, hidden, batch), dtype)
        self.by_r, self.by_z = self.slope

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        s = self.slots[k % len(self.slots)]
        r_z, n = s.r_z, s.n
        np.tanh(r_z, out=r_z)
        r_z *= 0.5
        r_z += 0.5
        np.multiply(s.r, s.q, out=n)
        n += a
        np.tanh(n, out=n)
        np.subtract(prev[0], n, out=s.m)
        np.multiply(s.z, s.m, out=self.by_z)
        np.add(self.by_z, n, out=y)
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
        s, slope, (dh,) = self.slots[k], self.slope, d
        da_n, da_r, da_z, dq = da.reshape(4, *dh.shape)
        np.square(s.n, out=da_n)
        np.subtract(1, da_n, out=da_n)
        np.subtract(1, s.z, out=da_z)
        da_n *= da_z
        da_n *= dh
        np.multiply(da_n, s.r, out=dq)
        np.square(s.r_z, out=slope)
        np.subtract(s.r_z, slope, out=slope)
        slope *= s.q_m  # r (1 - r) q, z (1 - z) m
        np.multiply(self.by_r, da_n, out=da_r)
        np.multiply(self.by_z, dh, out=da_z)
        dh *= s.z
