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
from typing import Any, NamedTuple

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import State

X_GATES = H_GATES = ("g", "i", "f", "o")
SHARED = 4
HALVED = ("i", "f", "o")
PASSES_H = False


class Slot(NamedTuple):
    """Views of one slot (6, H, B), made once, by the names of what is in them."""

    sigmoids: np.ndarray  # i, f, o
    g_i_f: np.ndarray
    i_f: np.ndarray
    g_c: np.ndarray
    i_o: np.ndarray
    g_tanh_c: np.ndarray
    c_tanh_c: np.ndarray
    g: np.ndarray
    f: np.ndarray
    o: np.ndarray
    c: np.ndarray
    tanh_c: np.ndarray


class Tape:
    """What the way back needs, in one slot for every step: g, i, f, o, c_{t-1} and tanh(c_t).

    In this order every operation below takes its operands at one stride: i and f meet g and c_{t-1} in
    one product, and one expression gives i (1 - g²) and o (1 - tanh²(c_t)).
    """

    def __init__(
        self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Mapping[str, Any]
    ) -> None:
        # one slot more than steps: the last one takes the last c
        self.memory = np.empty((slots + 1, 6, hidden, batch), dtype)
        self.b = self.memory[:, :4].reshape(slots + 1, 4 * hidden, batch)
        self.slots = [
            Slot(s[1:4], s[:3], s[1:3], s[0:5:4], s[1:4:2], s[0:6:5], s[4:], s[0], s[2], s[3], s[4], s[5])
            for s in self.memory
        ]
        # i (1 - g²); g i (1 - i), c_{t-1} f (1 - f), tanh(c_t) o (1 - o); o (1 - tanh²(c_t))
        part = np.empty((5, hidden, batch), dtype)
        self.products, self.squashed, self.opened, self.by_c = part[:2], part[0:5:4], part[1:4], part[:3]
        self.by_g, self.by_c_tanh_c, self.by_h, self.into_c = part[1], part[2:4], part[3], part[4]

    def forward(
        self, k: int, a: np.ndarray, b: np.ndarray, x: np.ndarray, prev: State, p: Weights, y: np.ndarray
    ) -> State:
        s, c = self.slots[k % len(self.slots)], self.slots[(k + 1) % len(self.slots)].c
        if k == 0:
            s.c[...] = prev[1]
        np.tanh(b, out=b)
        sigmoids = s.sigmoids
        sigmoids *= 0.5
        sigmoids += 0.5
        np.multiply(s.i_f, s.g_c, out=self.products)
        np.add(self.products[0], self.products[1], out=c)
        np.tanh(c, out=s.tanh_c)
        np.multiply(s.o, s.tanh_c, out=y)
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
        s, (dh, dc), da, into_c = self.slots[k], d, da.reshape(4, *d[0].shape), self.into_c
        self.slopes(s)
        into_c *= dh
        dc += into_c
        np.multiply(self.by_c, dc, out=da[:3])
        np.multiply(self.by_h, dh, out=da[3])
        dc *= s.f

    def slopes(self, s: Slot) -> None:
        """What dc and dh are multiplied by, in `part`: see there."""
        squashed, opened, by_g, by_c_tanh_c = self.squashed, self.opened, self.by_g, self.by_c_tanh_c
        np.square(s.g_tanh_c, out=squashed)
        squashed *= s.i_o
        np.subtract(s.i_o, squashed, out=squashed)
        np.square(s.sigmoids, out=opened)
        np.subtract(s.sigmoids, opened, out=opened)
        by_g *= s.g
        by_c_tanh_c *= s.c_tanh_c
