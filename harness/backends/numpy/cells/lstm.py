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

from typing import NamedTuple

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State

X_GATES = H_GATES = ("g", "o", "i", "f")
HALVED_GATES = ("i", "f", "o")
H_ONLY_IN_PRODUCT = True


class Slot(NamedTuple):
    """Views of one slot, made once: neighbours in it under one name."""

    tanh_c_g: Array
    g_o_i_f: Array
    sigmoids: Array  # o, i, f
    o_i: Array
    tanh_c: Array
    g: Array
    o: Array
    i: Array
    f: Array
    c: Array


class Tape:
    """What the backward pass needs, in one slot for every step: tanh(c_t), g, o, i, f, c_{t-1}.

    In this order what an operation below takes lies side by side: tanh(c_t) and g are to o and i what
    they are multiplied by, and what both have a slope of.
    """

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        H = hidden
        # one slot more than steps: the last one takes the last c
        self.memory = np.empty((slots + 1, 6 * H, batch), dtype)
        self.product = self.memory[:, H : 5 * H]
        self.slots = [
            Slot(s[: 2 * H], s[H : 5 * H], s[2 * H : 5 * H], s[2 * H : 4 * H], *s.reshape(6, H, batch))
            for s in self.memory
        ]
        self.half = np.array(0.5, dtype)
        part = np.empty((5 * H, batch), dtype)
        # o (1 - tanh²(c_t)), i (1 - g²); then o (1 - o) tanh(c_t), i (1 - i) g, f (1 - f) c_{t-1}
        self.squashed, self.opened, self.by_o_i = part[: 2 * H], part[2 * H :], part[2 * H : 4 * H]
        self.into_c, self.by_g, self.by_o, self.by_i, self.by_f = part.reshape(5, H, batch)
        self.da = np.empty((4 * H, batch), dtype)
        self.da_g, self.da_o, self.da_i, self.da_f = self.da.reshape(4, H, batch)

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        s, c = self.slots[k % len(self.slots)], self.slots[(k + 1) % len(self.slots)].c
        if k == 0:
            s.c[...] = prev[1]
        sigmoids, half, ig = s.sigmoids, self.half, self.by_g
        np.tanh(product, product)
        np.multiply(sigmoids, half, sigmoids)
        np.add(sigmoids, half, sigmoids)
        np.multiply(s.f, s.c, c)
        np.multiply(s.i, s.g, ig)
        np.add(c, ig, c)
        np.tanh(c, s.tanh_c)
        np.multiply(s.o, s.tanh_c, y)
        return y, c

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        s, (dh, dc), into_c = self.slots[k], d, self.into_c
        self.slopes(s)
        np.multiply(into_c, dh, into_c)
        np.add(dc, into_c, dc)
        np.multiply(self.by_o, dh, self.da_o)
        np.multiply(self.by_g, dc, self.da_g)
        np.multiply(self.by_i, dc, self.da_i)
        np.multiply(self.by_f, dc, self.da_f)
        np.multiply(dc, s.f, dc)

    def slopes(self, s: Slot) -> None:
        """What dh and dc are multiplied by: see `part`."""
        squashed, opened, sigmoids = self.squashed, self.opened, s.sigmoids
        np.square(s.tanh_c_g, squashed)
        np.multiply(squashed, s.o_i, squashed)
        np.subtract(s.o_i, squashed, squashed)
        np.square(sigmoids, opened)
        np.subtract(sigmoids, opened, opened)
        np.multiply(self.by_o_i, s.tanh_c_g, self.by_o_i)
        np.multiply(self.by_f, s.c, self.by_f)
