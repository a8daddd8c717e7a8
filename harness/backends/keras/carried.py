"""The states that a session carries from one call of `advance` to the next, on the device."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from harness.backends.keras.engines import Tensor
from harness.model import ModelSpec


class CarriedStates:
    """`tensors`, one (B, length) for every name in `ModelSpec.states`; None before the first.

    `initial` gives those that B sequences begin with.
    """

    def __init__(
        self,
        model: ModelSpec,
        initial: Callable[[int], list[Tensor]],
        put: Callable[[np.ndarray], Tensor],
    ) -> None:
        self.sizes = model.states()
        self.tensors: list[Tensor] | None = None
        self._initial = initial
        self._put = put

    def before(self, batch: int) -> list[Tensor]:
        """What to read on from with B sequences; raises ValueError where others are carried."""
        if self.tensors is None:
            return self._initial(batch)
        there = self._batch()
        if there not in (None, batch):
            raise ValueError(
                f"the carried states are of {there} sequences, not of {batch}; reset() begins anew"
            )
        return self.tensors

    def put(self, states: Mapping[str, np.ndarray]) -> None:
        """Carries these from here on; others stay as they are."""
        self._check_names(states)
        for name, state in states.items():
            if np.ndim(state) != 2 or state.shape[1] != self.sizes[name]:
                raise ValueError(f"{name}: has shape {np.shape(state)}, must be (B, {self.sizes[name]})")
        batches = {len(state) for state in states.values()}
        if self.tensors is not None and set(states) != set(self.sizes):
            batches |= {self._batch()}
        if len(batches) > 1:
            raise ValueError(
                f"states of {' and '.join(map(str, sorted(batches)))} sequences cannot go together"
            )
        if states:
            old = self.tensors or self._initial(batches.pop())
            self.tensors = [
                self._put(states[name]) if name in states else tensor
                for name, tensor in zip(self.sizes, old, strict=True)
            ]

    def reset(self, names: Iterable[str]) -> None:
        """Puts those of these names back to the initial ones, or all."""
        chosen = set(names)
        self._check_names(chosen)
        if not chosen:
            self.tensors = None
        elif self.tensors is not None:
            fresh = self._initial(self._batch())
            pairs = zip(self.sizes, self.tensors, fresh, strict=True)
            self.tensors = [new if name in chosen else old for name, old, new in pairs]

    def _batch(self) -> Any:
        """B of the carried states; None of a model without states."""
        return next((tensor.shape[0] for tensor in self.tensors or ()), None)

    def _check_names(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.sizes:
                known = ", ".join(self.sizes) or "none"
                raise ValueError(f"{name}: is no state of this model, which has {known}")
