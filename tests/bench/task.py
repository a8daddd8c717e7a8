"""What the sides of a comparison all do: train one model on the same shapes, from memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.model.cell import cell_spec
from harness.model.network import ModelSpec

BATCHES = 215  # of 128 in memory: half of MNIST
RATE = 1e-3  # Adam's


@dataclass(frozen=True)
class Task:
    """A cell and its readout, trained on sequences like MNIST's by rows."""

    cell: str = "lstm"
    hidden: int = 128
    batch: int = 128
    threads: int = 1
    steps: int = 28
    features: int = 28
    classes: int = 10
    device: str = "cpu"
    epoch: int = BATCHES  # updates

    @property
    def model(self) -> ModelSpec:
        options = {name: option.allowed[0] for name, option in cell_spec(self.cell).options.items()}
        return ModelSpec(self.cell, self.steps, self.features, self.hidden, self.classes, options=options)

    @property
    def flops(self) -> int:
        """FLOPs of one update."""
        return self.model.training_flops_per_sequence() * self.batch

    @property
    def rows(self) -> int:
        return self.epoch * self.batch

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """x (N, T, I) float32 within 0 … 1, y (N,) int64."""
        rng = np.random.default_rng(0)
        x = rng.random((self.rows, self.steps, self.features), dtype=np.float32)
        return x, rng.integers(0, self.classes, self.rows)

    def batches(self, updates: int, rng: np.random.Generator) -> np.ndarray:
        """Indices (S, B) of so many batches, from as many permutations of the data as they need."""
        epochs = -(-updates // self.epoch)
        order = np.concatenate([rng.permutation(self.rows) for _ in range(epochs)])
        return order[: updates * self.batch].reshape(updates, self.batch)


@dataclass(frozen=True)
class Side:
    """One way to do it, ready to go.

    `window(n)` makes n updates and returns when nothing is left to do. `flops` are those of an update,
    `least` the updates of the shortest window that is fair to it, `facts` what it tells about itself.
    """

    window: Callable[[int], object]
    flops: float
    least: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
