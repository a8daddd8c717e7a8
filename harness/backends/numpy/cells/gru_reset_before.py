"""Gated recurrent unit (reset before the product), pointwise; feature-major arrays (·, B).

    r, z = σ(a)          n_t = tanh(a_n + q_t W_hn) with q_t = r_t ∘ h_{t-1}
    h_t = n_t + z_t ∘ (h_{t-1} - n_t)

Backward, with dh the gradient by h_t:

    da_n = dh ∘ (1 - z) ∘ (1 - n²)          dq = da_n W_hnᵀ          dW_hn = Σ_B q da_nᵀ
    da_r = dq ∘ h_{t-1} ∘ r ∘ (1 - r)       da_z = dh ∘ (h_{t-1} - n) ∘ z ∘ (1 - z)
    dh_{t-1} = dh ∘ z + dq ∘ r              (and through the products of r and z)
"""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State, outer

X_GATES = ("n", "r", "z")
H_GATES = ("r", "z")
HALVED_GATES = ("r", "z")


class Tape:
    """What the backward pass needs: the gates r and z, the candidate n, h_{t-1} - n and q = r ∘ h_{t-1}."""

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        self.product = np.empty((slots, 2 * hidden, batch), dtype)
        self.r_z = self.product.reshape(slots, 2, hidden, batch)
        self.n = np.empty((slots, hidden, batch), dtype)
        self.m = np.empty((slots, hidden, batch), dtype)
        self.q = np.empty((hidden, slots, batch), dtype)
        self.slope = np.empty((2, hidden, batch), dtype)
        self.dq = np.empty((hidden, batch), dtype)

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        slot, (h_prev,) = k % len(self.product), prev
        n, m, q, (r, z) = self.n[slot], self.m[slot], self.q[:, slot], self.r_z[slot]
        np.tanh(product, out=product)
        product *= 0.5
        product += 0.5
        np.multiply(r, h_prev, out=q)
        np.matmul(p["W_hn"].T, q, out=n)
        n += xw
        np.tanh(n, out=n)
        np.subtract(h_prev, n, out=m)
        np.multiply(z, m, out=self.dq)
        np.add(self.dq, n, out=y)
        return (y,)

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        (dh,), (h_prev,), n, r_z, slope, dq = d, prev, self.n[k], self.r_z[k], self.slope, self.dq
        r, z = r_z
        da_n, da_r, da_z = da.reshape(3, *dh.shape)
        np.square(n, out=da_n)
        np.subtract(1, da_n, out=da_n)
        np.subtract(1, z, out=da_z)
        da_n *= da_z
        da_n *= dh
        np.matmul(p["W_hn"], da_n, out=dq)
        np.square(r_z, out=slope)
        np.subtract(r_z, slope, out=slope)
        np.multiply(slope[0], h_prev, out=da_r)
        da_r *= dq
        np.multiply(slope[1], self.m[k], out=da_z)
        da_z *= dh
        dh *= z
        dq *= r
        dh += dq

    def parameters_backward(self, da: Array, before: Array, dp: Weights) -> None:
        H = len(self.q)
        dp["W_hn"] += outer(self.q.reshape(H, -1), da[:H])
