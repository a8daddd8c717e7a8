"""The update rules of `harness/model/optimizer.py`, in place on the flat vector of all weights.

A rule is a dozen passes over its arrays: they go through the vector block by block, so that a block stays
in the cache for all of them.
"""

import math
from itertools import pairwise

import numpy as np

from harness.model.optimizer import SLOTS, OptimizerSpec

BLOCK = 16_384  # numbers


class Optimizer:
    """Slots and step count of one optimiser over `size` numbers."""

    def __init__(self, spec: OptimizerSpec, size: int, dtype: np.dtype) -> None:
        self.spec, self.t = spec, 0
        self.slots = {name: np.zeros(size, dtype) for name in SLOTS[spec.name]}
        self.a, self.b = np.empty(min(size, BLOCK), dtype), np.empty(min(size, BLOCK), dtype)
        edges = [*range(0, size, BLOCK), size]
        self.blocks = [slice(first, last) for first, last in pairwise(edges)]

    def reset(self) -> None:
        self.t = 0
        for slot in self.slots.values():
            slot[...] = 0

    def update(self, w: np.ndarray, g: np.ndarray, rate: float) -> None:
        """One step of w (n,) along g (n,), which is overwritten."""
        self.t += 1
        if self.spec.clip_norm is not None:
            norm = math.sqrt(float(np.dot(g, g)))
            g *= self.spec.clip_norm / max(norm, self.spec.clip_norm)
        for block in self.blocks:
            size = block.stop - block.start
            slots = {name: slot[block] for name, slot in self.slots.items()}
            self._update(w[block], g[block], slots, self.a[:size], self.b[:size], rate)

    def _update(
        self,
        w: np.ndarray,
        g: np.ndarray,
        slots: dict[str, np.ndarray],
        a: np.ndarray,
        b: np.ndarray,
        rate: float,
    ) -> None:
        spec = self.spec
        if spec.name == "sgd":
            np.multiply(g, rate, out=a)
        elif spec.name == "momentum":
            v = slots["v"]
            v *= spec.momentum
            v += g
            np.multiply(v, rate, out=a)
        elif spec.name == "adam":
            m, v = slots["m"], slots["v"]
            m *= spec.beta1
            np.multiply(g, 1 - spec.beta1, out=a)
            m += a
            g *= g
            g *= 1 - spec.beta2
            v *= spec.beta2
            v += g
            np.multiply(v, 1 / (1 - spec.beta2**self.t), out=b)
            np.sqrt(b, out=b)
            b += spec.epsilon
            np.multiply(m, rate / (1 - spec.beta1**self.t), out=a)
            a /= b
        else:
            v = slots["v"]
            np.multiply(g, rate, out=a)
            g *= g
            g *= 1 - spec.rho
            v *= spec.rho
            v += g
            np.sqrt(v, out=b)
            b += spec.epsilon
            a /= b
        w -= a
