"""The states that a session carries from one call of `advance` to the next, on its device.

Legend: B batch.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from harness.backends.base import States
from harness.backends.torch.cells import State
from harness.model import ModelSpec

Initial = Callable[[int], list[State]]  # the model's own first states of so many sequences


class Carried:
    """One tensor (B, length) for each canonical name; none before the first `advance`."""

    def __init__(self, spec: ModelSpec, initial: Initial, **place: Any) -> None:
        self.sizes = spec.states()
        self.blocks = len(spec.blocks())
        self.initial = initial
        self.place = place
        self.tensors: dict[str, torch.Tensor] = {}

    def before(self, batch: int) -> list[State]:
        """What to read on from with B sequences, block by block; raises ValueError where others are
        carried."""
        if not self.tensors:
            return self.initial(batch)
        there = self._batch()
        if there != batch:
            raise ValueError(
                f"the carried states are of {there} sequences, not of {batch}; reset() begins anew"
            )
        flat = list(self.tensors.values())
        each = len(flat) // self.blocks
        return [tuple(flat[n : n + each]) for n in range(0, len(flat), each)]

    def after(self, states: Sequence[State]) -> None:
        """Carries these from here on."""
        self.tensors = self._named(states)

    def read(self, states: Sequence[State] | None = None) -> States:
        """Copies by canonical name: of these states, or of the carried ones."""
        tensors = self.tensors if states is None else self._named(states)
        return {name: copied(tensor) for name, tensor in tensors.items()}

    def put(self, states: Mapping[str, np.ndarray]) -> None:
        """Carries copies of these (B, length), and the others on as they are or begin."""
        self._check_names(states)
        for name, state in states.items():
            if state.ndim != 2 or state.shape[1] != self.sizes[name]:
                raise ValueError(f"{name}: has shape {state.shape}, must be (B, {self.sizes[name]})")
        batches = {len(state) for state in states.values()}
        if self.tensors and states.keys() != self.sizes.keys():
            batches.add(self._batch())
        if len(batches) > 1:
            raise ValueError(
                f"states of {' and '.join(map(str, sorted(batches)))} sequences cannot go together"
            )
        if states:
            others = self.tensors or self._named(self.initial(batches.pop()))
            given = {name: torch.tensor(state, **self.place) for name, state in states.items()}
            self.tensors = {**others, **given}

    def reset(self, names: Sequence[str]) -> None:
        """Those of these names, or all, begin anew."""
        self._check_names(names)
        if not names:
            self.tensors = {}
        elif self.tensors:
            fresh = self._named(self.initial(self._batch()))
            self.tensors |= {name: fresh[name] for name in names}

    def _named(self, states: Sequence[State]) -> dict[str, torch.Tensor]:
        return dict(zip(self.sizes, (state for block in states for state in block), strict=True))

    def _batch(self) -> int:
        return len(next(iter(self.tensors.values())))

    def _check_names(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.sizes:
                raise ValueError(
                    f"{name}: is no state of this model, which has {', '.join(self.sizes) or 'none'}"
                )


def copied(tensor: torch.Tensor) -> np.ndarray:
    """A tensor for the caller to keep: no memory in common, whatever device it was on."""
    return np.array(tensor.cpu().numpy(), order="C")
