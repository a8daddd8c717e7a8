"""The updates of `harness/model/optimizer.py` in Keras operations: pure functions of weights and slots.

    sgd        w ← w - η_t g
    momentum   v ← μ v + g                                          w ← w - η_t v
    adam       m ← β1 m + (1 - β1) g,   v ← β2 v + (1 - β2) g²
               w ← w - η_t (m / (1 - β1^t)) / (sqrt(v / (1 - β2^t)) + ε)
    rmsprop    v ← ρ v + (1 - ρ) g²                                 w ← w - η_t g / (sqrt(v) + ε)

`keras.optimizers` has other ones: its Adam adds ε to the uncorrected root, its momentum holds η_t.
"""

import numpy as np
from keras import ops

from harness.backends.keras.engines import Tensor
from harness.model.optimizer import SLOTS, OptimizerSpec


def scales(spec: OptimizerSpec, first: int, rates: np.ndarray) -> np.ndarray:
    """What changes from step to step, (S, 3) float64: η_t, 1 - β1^t, 1 - β2^t for t = first + 1, …"""
    t = np.arange(first + 1, first + 1 + len(rates), dtype=np.float64)
    return np.stack([rates, 1 - spec.beta1**t, 1 - spec.beta2**t], axis=1)


def start(spec: OptimizerSpec, params: list[Tensor]) -> list[Tensor]:
    """Slots before the first step: zeros, slot by slot in the order of `SLOTS`."""
    return [ops.zeros_like(w) for _ in SLOTS[spec.name] for w in params]


def clip(gradients: list[Tensor], limit: float) -> list[Tensor]:
    """Every gradient times limit / max(n, limit), n their global norm."""
    n = ops.sqrt(sum(ops.sum(g * g) for g in gradients))
    factor = limit / ops.maximum(n, ops.zeros_like(n) + limit)  # a number alone would come from the host
    return [g * factor for g in gradients]


def update(
    spec: OptimizerSpec, params: list[Tensor], gradients: list[Tensor], slots: list[Tensor], scale: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and slots after one step; scale (3,) is a row of `scales`."""
    η, correction1, correction2 = scale[0], scale[1], scale[2]
    if spec.clip_norm is not None:
        gradients = clip(gradients, spec.clip_norm)
    pairs = list(zip(params, gradients, strict=True))
    P = len(params)
    if spec.name == "sgd":
        return [w - η * g for w, g in pairs], slots
    if spec.name == "momentum":
        vs = [spec.momentum * v + g for v, g in zip(slots, gradients, strict=True)]
        return [w - η * v for w, v in zip(params, vs, strict=True)], vs
    if spec.name == "adam":
        ms = [spec.beta1 * m + (1 - spec.beta1) * g for m, g in zip(slots[:P], gradients, strict=True)]
        vs = [spec.beta2 * v + (1 - spec.beta2) * (g * g) for v, g in zip(slots[P:], gradients, strict=True)]
        new = [
            w - η * (m / correction1) / (ops.sqrt(v / correction2) + spec.epsilon)
            for w, m, v in zip(params, ms, vs, strict=True)
        ]
        return new, ms + vs
    vs = [spec.rho * v + (1 - spec.rho) * (g * g) for v, g in zip(slots, gradients, strict=True)]
    return [w - η * g / (ops.sqrt(v) + spec.epsilon) for (w, g), v in zip(pairs, vs, strict=True)], vs
