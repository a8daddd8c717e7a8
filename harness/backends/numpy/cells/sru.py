"""Simple recurrent unit, pointwise; feature-major arrays (·, B).

    f = σ(a_f + v_f ∘ c_{t-1})          r = σ(a_r + v_r ∘ c_{t-1})
    c_t = f ∘ c_{t-1} + (1 - f) ∘ n     h_t = r ∘ c_t + (1 - r) ∘ k

Backward, with dh and dc the gradients by h_t and c_t (dc holds dh ∘ r already):

    dn = dc ∘ (1 - f)                   dk = dh ∘ (1 - r)
    da_f = dc ∘ (c_{t-1} - n) ∘ f ∘ (1 - f)          da_r = dh ∘ (c_t - k) ∘ r ∘ (1 - r)
    dv_f = Σ_B da_f ∘ c_{t-1}           dv_r = Σ_B da_r ∘ c_{t-1}
    dc_{t-1} = dc ∘ f + da_f ∘ v_f + da_r ∘ v_r
"""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State, sigmoid

X_GATES = ("f", "r", "n", "k")


class Tape:
    """What the backward pass needs: the gates, the cell states, and how far n and k are from the states."""

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        self.gates = np.empty((slots, 2, hidden, batch), dtype)  # f, r
        self.apart = np.empty((slots, 2, hidden, batch), dtype)  # c_{t-1} - n, c_t - k
        self.c = np.empty((slots + 1, hidden, batch), dtype)  # c_{t-1}
        self.part = np.empty((2, hidden, batch), dtype)

    def precompute(self, p: Weights) -> None:
        self.v = np.stack([p["v_f"], p["v_r"]])[:, :, None]

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        slot, (c_prev,), part = k % len(self.gates), prev, self.part
        gates, apart, c = self.gates[slot], self.apart[slot], self.c[(k + 1) % len(self.c)]
        if k == 0:
            self.c[0] = c_prev
        a_f_r, (n, carry) = xw[: 2 * len(y)].reshape(part.shape), xw[2 * len(y) :].reshape(part.shape)
        np.multiply(self.v, c_prev, out=gates)
        gates += a_f_r
        sigmoid(gates, out=gates)
        f, r = gates
        np.subtract(c_prev, n, out=apart[0])
        np.multiply(f, apart[0], out=c)
        c += n
        np.subtract(c, carry, out=apart[1])
        np.multiply(r, apart[1], out=part[0])
        np.add(part[0], carry, out=y)
        return (c,)

    def output_backward(self, k: int, dy: Array, y: Array, d: list[Array]) -> None:
        d[0] += np.multiply(dy, self.gates[k, 1], out=self.part[0])

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        (dc,), gates, part = d, self.gates[k], self.part
        da_f_r, (dn, dk) = da[: 2 * len(dc)].reshape(part.shape), da[2 * len(dc) :].reshape(part.shape)
        np.subtract(1, gates, out=part)
        np.multiply(part[0], dc, out=dn)
        np.multiply(part[1], dy, out=dk)
        part *= gates
        np.multiply(part, self.apart[k], out=da_f_r)
        da_f_r[0] *= dc
        da_f_r[1] *= dy
        dc *= gates[0]
        np.multiply(da_f_r, self.v, out=part)
        dc += part[0]
        dc += part[1]

    def parameters_backward(self, da: Array, before: Array, dp: Weights) -> None:
        T, (H, B) = len(self.gates), self.c.shape[1:]
        da_f, da_r = da[: 2 * H].reshape(2, H, T, B)
        dp["v_f"] += np.einsum("htb,thb->h", da_f, self.c[:-1])
        dp["v_r"] += np.einsum("htb,thb->h", da_r, self.c[:-1])
