"""Simple recurrent unit, pointwise; feature-major arrays (·, B).

    f = σ(a_f + v_f ∘ c_{t-1})          r = σ(a_r + v_r ∘ c_{t-1})
    c_t = f ∘ c_{t-1} + (1 - f) ∘ n     h_t = r ∘ c_t + (1 - r) ∘ k

Backward, with dh and dc the gradients by h_t and c_t (dc holds dh ∘ r already):

    dn = dc ∘ (1 - f)                   dk = dh ∘ (1 - r)
    da_f = dc ∘ (c_{t-1} - n) ∘ f ∘ (1 - f)          da_r = dh ∘ (c_t - k) ∘ r ∘ (1 - r)
    dv_f = Σ_B da_f ∘ c_{t-1}           dv_r = Σ_B da_r ∘ c_{t-1}
    dc_{t-1} = dc ∘ f + da_f ∘ v_f + da_r ∘ v_r
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State, sigmoid

X_GATES = ("f", "r", "n", "k")
H_GATES: tuple[str, ...] = ()
SHARED = 0


class Tape:
    """What the way back needs: the gates, the cell states and the projected inputs n and k."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.slots = slots
        self.gates = np.empty((slots, 2 * hidden, batch), dtype)
        self.inputs = np.empty((slots, 2 * hidden, batch), dtype)  # n and k
        self.c = np.empty((slots, hidden, batch), dtype)

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        slot, (c_prev,), H = k % self.slots, prev, len(y)
        c, gates = self.c[slot], self.gates[slot]
        self.inputs[slot] = a[2 * H :]
        n, carry = np.split(self.inputs[slot], 2)
        f, r = np.split(gates, 2)
        np.multiply(p["v_f"][:, None], c_prev, out=f)
        np.multiply(p["v_r"][:, None], c_prev, out=r)
        gates += a[: 2 * H]
        sigmoid(gates, out=gates)
        new = c_prev - n
        new *= f
        np.add(new, n, out=c)
        np.subtract(c, carry, out=y)
        y *= r
        y += carry
        return (c,)

    def receive(self, k: int, dy: np.ndarray, y: np.ndarray, d: list[np.ndarray]) -> None:
        _, r = np.split(self.gates[k], 2)
        d[0] += dy * r

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
        (dc,), (c_prev,), (c,) = d, prev, new
        f, r = np.split(self.gates[k], 2)
        n, carry = np.split(self.inputs[k], 2)
        da_f, da_r, dn, dk = np.split(da, 4)
        dn[...] = dc * (1 - f)
        dk[...] = dy * (1 - r)
        da_f[...] = dc * (c_prev - n) * f * (1 - f)
        da_r[...] = dy * (c - carry) * r * (1 - r)
        dp["v_f"] += (da_f * c_prev).sum(axis=1)
        dp["v_r"] += (da_r * c_prev).sum(axis=1)
        dc *= f
        dc += da_f * p["v_f"][:, None] + da_r * p["v_r"][:, None]
