"""The update rules of `harness/optim.py`, in place on the flat vector of all weights."""

import math

import numpy as np

from harness.optim import SLOTS, OptimizerSpec


class Optimizer:
    """Slots and step count of one optimiser over `size` numbers."""

    def __init__(self, spec: OptimizerSpec, size: int, dtype: np.dtype) -> None:
        self.spec, self.t = spec, 0
        self.slots = {name: np.zeros(size, dtype) for name in SLOTS[spec.name]}
        self.a, self.b = np.empty(size, dtype), np.empty(size, dtype)

    def reset(self) -> None:
        self.t = 0
        for slot in self.slots.values():
            slot[...] = 0

    def update(self, w: np.ndarray, g: np.ndarray, rate: float) -> None:
        """One step of w (n,) along g (n,), which is overwritten."""
        spec, a, b = self.spec, self.a, self.b
        self.t += 1
        if spec.clip_norm is not None:
            norm = math.sqrt(float(np.dot(g, g)))
            g *= spec.clip_norm / max(norm, spec.clip_norm)
        if spec.name == "sgd":
            np.multiply(g, rate, out=a)
        elif spec.name == "momentum":
            v = self.slots["v"]
            v *= spec.momentum
            v += g
            np.multiply(v, rate, out=a)
        elif spec.name == "adam":
            m, v = self.slots["m"], self.slots["v"]
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
            v = self.slots["v"]
            np.multiply(g, rate, out=a)
            g *= g
            g *= 1 - spec.rho
            v *= spec.rho
            v += g
            np.sqrt(v, out=b)
            b += spec.epsilon
            a /= b
        w -= a
