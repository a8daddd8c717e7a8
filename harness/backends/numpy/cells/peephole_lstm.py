"""Long short-term memory with peepholes, pointwise; feature-major arrays (·, B).

    i, f = σ(a + p ∘ c_{t-1})     g = tanh(a)     c_t = f ∘ c_{t-1} + i ∘ g
    o = σ(a + p_o ∘ c_t)          h_t = o ∘ tanh(c_t)

Backward, with dh and dc the gradients by h_t and c_t:

    da_o = dh ∘ tanh(c_t) ∘ o ∘ (1 - o)        dc += dh ∘ o ∘ (1 - tanh²(c_t)) + da_o ∘ p_o
    da_i = dc ∘ g ∘ i ∘ (1 - i)                da_f = dc ∘ c_{t-1} ∘ f ∘ (1 - f)
    da_g = dc ∘ i ∘ (1 - g²)                   dc_{t-1} = dc ∘ f + da_i ∘ p_i + da_f ∘ p_f
    dp_i = Σ_B da_i ∘ c_{t-1}                  dp_f = Σ_B da_f ∘ c_{t-1}     dp_o = Σ_B da_o ∘ c_t
"""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State, lstm

X_GATES = H_GATES = ("g", "i", "f", "o")
SHARED = 4
HALVED = ("i", "f", "o")
PASSES_H = False


class Tape(lstm.Tape):
    """What the way back needs is what an LSTM's needs."""

    def prepare(self, p: Weights) -> None:
        self.p_i_f = np.stack([p["p_i"], p["p_f"]])[:, :, None]
        self.p_o = p["p_o"][:, None]
        self.half_p_i_f, self.half_p_o = self.p_i_f / 2, self.p_o / 2

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        s, c = self.slots[k % len(self.slots)], self.slots[(k + 1) % len(self.slots)].c
        if k == 0:
            s.c[...] = prev[1]
        g_i_f, i_f, o = s.g_i_f, s.i_f, s.o
        np.multiply(self.half_p_i_f, s.c, out=self.products)
        i_f += self.products
        np.tanh(g_i_f, out=g_i_f)
        i_f *= 0.5
        i_f += 0.5
        np.multiply(i_f, s.g_c, out=self.products)
        np.add(self.products[0], self.products[1], out=c)
        np.multiply(self.half_p_o, c, out=s.tanh_c)
        o += s.tanh_c
        np.tanh(o, out=o)
        o *= 0.5
        o += 0.5
        np.tanh(c, out=s.tanh_c)
        np.multiply(o, s.tanh_c, out=y)
        return y, c

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
        s, (dh, dc), da = self.slots[k], d, da.reshape(4, *d[0].shape)
        self.slopes(s)
        da_i_f, da_o, into_c = da[1:3], da[3], self.into_c
        np.multiply(self.by_h, dh, out=da_o)
        into_c *= dh
        dc += into_c
        np.multiply(da_o, self.p_o, out=into_c)
        dc += into_c
        np.multiply(self.by_c, dc, out=da[:3])
        dc *= s.f
        np.multiply(da_i_f, self.p_i_f, out=self.products)
        dc += self.products[0]
        dc += self.products[1]

    def finish(self, da: np.ndarray, before: np.ndarray, dp: Weights) -> None:
        T, (H, B) = len(self.slots) - 1, self.slots[0].c.shape
        _, da_i, da_f, da_o = da.reshape(4, H, T, B)
        c = self.memory[:, 4]
        dp["p_i"] += np.einsum("htb,thb->h", da_i, c[:-1])
        dp["p_f"] += np.einsum("htb,thb->h", da_f, c[:-1])
        dp["p_o"] += np.einsum("htb,thb->h", da_o, c[1:])
