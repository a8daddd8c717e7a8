"""Long short-term memory with peepholes, pointwise; feature-major arrays (·, B).

    i, f = σ(a + p ∘ c_{t-1})     g = tanh(a)     c_t = f ∘ c_{t-1} + i ∘ g
    o = σ(a + p_o ∘ c_t)          h_t = o ∘ tanh(c_t)

Backward, with dh and dc the gradients by h_t and c_t:

    da_o = dh ∘ tanh(c_t) ∘ o ∘ (1 - o)        dc += dh ∘ o ∘ (1 - tanh²(c_t)) + da_o ∘ p_o
    da_i = dc ∘ g ∘ i ∘ (1 - i)                da_f = dc ∘ c_{t-1} ∘ f ∘ (1 - f)
    da_g = dc ∘ i ∘ (1 - g²)                   dc_{t-1} = dc ∘ f + da_i ∘ p_i + da_f ∘ p_f
    dp_i = Σ_B da_i ∘ c_{t-1}                  dp_f = Σ_B da_f ∘ c_{t-1}     dp_o = Σ_B da_o ∘ c_t
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State, sigmoid

X_GATES = ("i", "f", "g", "o")
H_GATES = ("i", "f", "g", "o")
SHARED = 4
PASSES_H = False


class Tape:
    """What the way back needs: the gates, the cell states and their tanh."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.slots, self.H = slots, hidden
        self.b = np.empty((slots, 4 * hidden, batch), dtype)
        self.c = np.empty((slots, hidden, batch), dtype)
        self.tanh_c = np.empty((slots, hidden, batch), dtype)

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        slot, (_, c_prev) = k % self.slots, prev
        c, tanh_c = self.c[slot], self.tanh_c[slot]
        i, f, g, o = np.split(b, 4)
        i += p["p_i"][:, None] * c_prev
        f += p["p_f"][:, None] * c_prev
        sigmoid(i, out=i)
        sigmoid(f, out=f)
        np.tanh(g, out=g)
        np.multiply(f, c_prev, out=c)
        c += i * g
        o += p["p_o"][:, None] * c
        sigmoid(o, out=o)
        np.tanh(c, out=tanh_c)
        np.multiply(o, tanh_c, out=y)
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
        (dh, dc), (_, c_prev), (_, c), tanh_c = d, prev, new, self.tanh_c[k]
        i, f, g, o = np.split(self.b[k], 4)
        da_i, da_f, da_g, da_o = np.split(da, 4)
        da_o[...] = dh * tanh_c * o * (1 - o)
        dc += dh * o * (1 - tanh_c * tanh_c) + da_o * p["p_o"][:, None]
        da_i[...] = dc * g * i * (1 - i)
        da_f[...] = dc * c_prev * f * (1 - f)
        da_g[...] = dc * i * (1 - g * g)
        dp["p_i"] += (da_i * c_prev).sum(axis=1)
        dp["p_f"] += (da_f * c_prev).sum(axis=1)
        dp["p_o"] += (da_o * c).sum(axis=1)
        dc *= f
        dc += da_i * p["p_i"][:, None] + da_f * p["p_f"][:, None]
