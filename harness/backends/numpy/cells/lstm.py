"""Long short-term memory, pointwise; feature-major arrays (·, B).

Forward, as in `harness/cells/lstm.py`: gates i, f, o = σ(a), g = tanh(a), then

    c_t = f_t ∘ c_{t-1} + i_t ∘ g_t          h_t = o_t ∘ tanh(c_t)

Backward, with dh and dc the gradients of the loss by h_t and c_t:

    do = dh ∘ tanh(c_t)                      dc += dh ∘ o_t ∘ (1 - tanh²(c_t))
    di = dc ∘ g_t     df = dc ∘ c_{t-1}      dg = dc ∘ i_t
    da = d· ∘ s ∘ (1 - s) for i, f, o        da = dg ∘ (1 - g²)
    dc_{t-1} = dc ∘ f_t

The weights of i, f and o come in halved: σ(a) = (1 + tanh(a/2)) / 2, so one tanh serves all gates.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State

X_GATES = H_GATES = ("i", "f", "o", "g")
SHARED = 4
HALVED = ("i", "f", "o")


class Tape:
    """What the way back needs: the gates, the cell states and their tanh, for every step kept."""

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        self.slots, self.H = slots, hidden
        self.gates = np.empty((slots, 4 * hidden, batch), dtype)
        self.c = np.empty((slots, hidden, batch), dtype)
        self.tanh_c = np.empty((slots, hidden, batch), dtype)
        self.scratch = np.empty((3 * hidden, batch), dtype)

    def forward(
        self, k: int, a: np.ndarray, hs: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        H, slot = self.H, k % self.slots
        c_prev, c = prev[1], self.c[slot]
        gates, tanh_c, ig = self.gates[slot], self.tanh_c[slot], self.scratch[:H]
        np.add(a, hs, out=gates)
        np.tanh(gates, out=gates)
        sigmoid = gates[: 3 * H]
        sigmoid *= 0.5
        sigmoid += 0.5
        i, f, o, g = gates[:H], gates[H : 2 * H], gates[2 * H : 3 * H], gates[3 * H :]
        np.multiply(i, g, out=ig)
        np.multiply(f, c_prev, out=c)
        c += ig
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
        H, gates, tanh_c, (dh, dc) = self.H, self.gates[k], self.tanh_c[k], d
        i, f, o, g = gates[:H], gates[H : 2 * H], gates[2 * H : 3 * H], gates[3 * H :]
        slope, part = self.scratch, self.scratch[:H]
        np.multiply(tanh_c, tanh_c, out=part)
        np.subtract(1, part, out=part)
        part *= o
        part *= dh
        dc += part
        np.multiply(dc, i, out=part)
        np.multiply(g, g, out=da[3 * H :])
        np.subtract(1, da[3 * H :], out=da[3 * H :])
        da[3 * H :] *= part
        sigmoid = gates[: 3 * H]
        np.multiply(sigmoid, sigmoid, out=slope)
        np.subtract(sigmoid, slope, out=slope)
        np.multiply(slope[:H], g, out=da[:H])
        da[:H] *= dc
        np.multiply(slope[H : 2 * H], prev[1], out=da[H : 2 * H])
        da[H : 2 * H] *= dc
        np.multiply(slope[2 * H :], tanh_c, out=da[2 * H : 3 * H])
        da[2 * H : 3 * H] *= dh
        dc *= f
        dh[...] = 0
