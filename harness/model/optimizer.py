"""Optimisers and learning-rate schedules: one definition, which every backend computes exactly.

With g the gradient (after clipping), w a parameter, t = 1, 2, … the update and η_t its rate:

    sgd        w ← w - η_t g
    momentum   v ← μ v + g                                          w ← w - η_t v
    adam       m ← β1 m + (1 - β1) g,   v ← β2 v + (1 - β2) g²
               w ← w - η_t (m / (1 - β1^t)) / (sqrt(v / (1 - β2^t)) + ε)
    rmsprop    v ← ρ v + (1 - ρ) g²                                 w ← w - η_t g / (sqrt(v) + ε)

All slots start at zero. Adam is Kingma and Ba, ICLR 2015 (ε on the corrected second moment);
RMSprop is Tieleman and Hinton's lecture 6.5, 2012, without momentum or centring, ε outside the root.

Clipping is by global norm: with n = sqrt(Σ ‖g‖²) over all parameters and limit c, every gradient is
multiplied by c / max(n, c).
"""

from dataclasses import dataclass

import numpy as np

OPTIMIZERS = ("sgd", "momentum", "adam", "rmsprop")
SCHEDULES = ("constant", "cosine", "step")

SLOTS: dict[str, tuple[str, ...]] = {"sgd": (), "momentum": ("v",), "adam": ("m", "v"), "rmsprop": ("v",)}


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimiser with every constant; `clip_norm=None` clips nothing."""

    name: str = "adam"
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    rho: float = 0.9
    epsilon: float = 1e-8
    clip_norm: float | None = None


@dataclass(frozen=True)
class Schedule:
    """How the learning rate goes down over a run; computed here, handed to the backends step by step.

    `step` multiplies by `decay_factor` after every `decay_epochs` epochs.
    """

    name: str
    learning_rate: float
    total_steps: int
    steps_per_epoch: int
    decay_factor: float = 0.1
    decay_epochs: int = 1

    def rates(self, first: int, count: int) -> np.ndarray:
        """Rates (count,) float64 of the steps `first` … `first + count - 1`, counted from 0."""
        steps = np.arange(first, first + count, dtype=np.float64)
        if self.name == "cosine":
            return self.learning_rate * 0.5 * (1.0 + np.cos(np.pi * steps / max(1, self.total_steps)))
        if self.name == "step":
            drops = steps // (self.decay_epochs * self.steps_per_epoch)
            return self.learning_rate * self.decay_factor**drops
        return np.full(count, self.learning_rate)
