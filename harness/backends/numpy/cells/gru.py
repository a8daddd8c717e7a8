"""Gated recurrent unit (reset after the product), pointwise; feature-major arrays (·, B).

Forward, as in `harness/cells/gru.py`, with q_t = h_{t-1} W_hn + b_hn:

    r, z = σ(a)          n_t = tanh(a_n + r_t ∘ q_t)          h_t = n_t + z_t ∘ (h_{t-1} - n_t)

Backward, with dh the gradient of the loss by h_t:

    dn = dh ∘ (1 - z_t)          dz = dh ∘ (h_{t-1} - n_t)          da_n = dn ∘ (1 - n_t²)
    dr = da_n ∘ q_t              dq = da_n ∘ r_t                    da = d· ∘ s ∘ (1 - s) for r, z
    dh_{t-1} = dh ∘ z_t          (the rest goes through the matrices)

The x side is ordered n, r, z and the h side r, z, n, so that r and z share their rows of `da`.
"""

from typing import NamedTuple

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State

X_GATES = ("n", "r", "z")
H_GATES = ("r", "z", "n")
HALVED_GATES = ("r", "z")


class Slot(NamedTuple):
    """Views of one slot, made once: neighbours in it under one name; n is of a memory of its own."""

    r_z: Array
    q_m: Array
    n: Array
    r: Array
    z: Array
    q: Array
    m: Array


class Tape:
    """What the backward pass needs, in one slot for every step: r, z, q and m = h_{t-1} - n; and, apart, n.

    In this order r and z lie as what they are multiplied by, q and m.
    """

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        H = hidden
        memory, n = np.empty((slots, 4 * H, batch), dtype), np.empty((slots, H, batch), dtype)
        self.product = memory[:, : 3 * H]
        self.slots = [
            Slot(s[: 2 * H], s[2 * H :], n_k, *s.reshape(4, H, batch))
            for s, n_k in zip(memory, n, strict=True)
        ]
        self.half = np.array(0.5, dtype)
        self.slope = np.empty((2 * H, batch), dtype)
        self.by_r, self.by_z = self.slope.reshape(2, H, batch)
        self.passed, self.dn = np.empty((2, H, batch), dtype)
        self.da = np.empty((4 * H, batch), dtype)
        self.da_n, self.da_r, self.da_z, self.dq = self.da.reshape(4, H, batch)

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        s = self.slots[k % len(self.slots)]
        r_z, n, m, half = s.r_z, s.n, s.m, self.half
        np.tanh(r_z, r_z)
        np.multiply(r_z, half, r_z)
        np.add(r_z, half, r_z)
        np.multiply(s.r, s.q, n)
        np.add(n, xw, n)
        np.tanh(n, n)
        np.subtract(prev[0], n, m)
        np.multiply(s.z, m, y)
        np.add(y, n, y)
        return (y,)

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        s, slope, passed, dn, da_n, (dh,) = self.slots[k], self.slope, self.passed, self.dn, self.da_n, d
        np.multiply(s.z, dh, passed)
        np.subtract(dh, passed, dn)
        np.square(s.n, da_n)
        np.multiply(da_n, dn, da_n)
        np.subtract(dn, da_n, da_n)
        np.multiply(da_n, s.r, self.dq)
        np.square(s.r_z, slope)
        np.subtract(s.r_z, slope, slope)
        np.multiply(slope, s.q_m, slope)  # r (1 - r) q, z (1 - z) m
        np.multiply(self.by_r, da_n, self.da_r)
        np.multiply(self.by_z, dh, self.da_z)
        dh[...] = passed
