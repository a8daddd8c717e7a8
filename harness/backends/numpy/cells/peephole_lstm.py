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
from harness.backends.numpy.cells import Array, State, lstm

X_GATES = H_GATES = lstm.X_GATES
HALVED_GATES = lstm.HALVED_GATES
H_ONLY_IN_PRODUCT = True


class Tape(lstm.Tape):
    """What the backward pass needs is what an LSTM's needs."""

    def precompute(self, p: Weights) -> None:
        self.p_o, self.p_i, self.p_f = (p[name][:, None] for name in ("p_o", "p_i", "p_f"))
        self.half_p_o, self.half_p_i, self.half_p_f = self.p_o / 2, self.p_i / 2, self.p_f / 2

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        s, c = self.slots[k % len(self.slots)], self.slots[(k + 1) % len(self.slots)].c
        if k == 0:
            s.c[...] = prev[1]
        g, o, i, f, half, part = s.g, s.o, s.i, s.f, self.half, self.by_g
        np.multiply(self.half_p_i, s.c, part)
        np.add(i, part, i)
        np.multiply(self.half_p_f, s.c, part)
        np.add(f, part, f)
        for gate in (i, f):
            np.tanh(gate, gate)
            np.multiply(gate, half, gate)
            np.add(gate, half, gate)
        np.tanh(g, g)
        np.multiply(f, s.c, c)
        np.multiply(i, g, part)
        np.add(c, part, c)
        np.multiply(self.half_p_o, c, part)
        np.add(o, part, o)
        np.tanh(o, o)
        np.multiply(o, half, o)
        np.add(o, half, o)
        np.tanh(c, s.tanh_c)
        np.multiply(o, s.tanh_c, y)
        return y, c

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        s, (dh, dc), part = self.slots[k], d, self.into_c
        self.slopes(s)
        np.multiply(part, dh, part)
        np.add(dc, part, dc)
        np.multiply(self.by_o, dh, self.da_o)
        np.multiply(self.da_o, self.p_o, part)
        np.add(dc, part, dc)
        np.multiply(self.by_g, dc, self.da_g)
        np.multiply(self.by_i, dc, self.da_i)
        np.multiply(self.by_f, dc, self.da_f)
        np.multiply(dc, s.f, dc)
        for gate, weight in ((self.da_i, self.p_i), (self.da_f, self.p_f)):
            np.multiply(gate, weight, part)
            np.add(dc, part, dc)

    def parameters_backward(self, da: Array, before: Array, dp: Weights) -> None:
        T, (H, B) = len(self.slots) - 1, self.slots[0].c.shape
        _, da_o, da_i, da_f = da.reshape(4, H, T, B)
        c = self.memory[:, 5 * H :]
        dp["p_i"] += np.einsum("htb,thb->h", da_i, c[:-1])
        dp["p_f"] += np.einsum("htb,thb->h", da_f, c[:-1])
        dp["p_o"] += np.einsum("htb,thb->h", da_o, c[1:])
