"""The states that a session carries from one call of `advance` to the next, by canonical name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.backends import checks
from harness.backends.base import States
from harness.model.network import ModelSpec

Tensor = Any


class CarriedStates:
    """`tensors`, one for every name of `ModelSpec.states` in the backend's own form and place; None before
    the first.

    `initial` gives those that B sequences begin with, `put` and `fetch` copy between (B, length) and the
    backend's form, in which `batch_axis` counts the sequences.
    """

    def __init__(
        self,
        model: ModelSpec,
        *,
        initial: Callable[[int], list[Tensor]],
        put: Callable[[np.ndarray], Tensor],
        fetch: Callable[[Tensor], np.ndarray],
        batch_axis: int = 0,
    ) -> None:
        self.sizes = model.states()
        self.tensors: list[Tensor] | None = None
        self._initial, self._put, self._fetch, self._batch_axis = initial, put, fetch, batch_axis

    def named(self, tensors: Sequence[Tensor] | None) -> States:
        """Copies by canonical name, (B, length)."""
        return {} if tensors is None else dict(zip(self.sizes, map(self._fetch, tensors), strict=True))

    def before(self, batch: int) -> list[Tensor]:
        """What to read on from with B sequences; raises ValueError where others are carried."""
        if self.tensors is None:
            return self._initial(batch)
        carried = self._batch()
        if carried not in (None, batch):
            raise ValueError(
                f"the carried states are of {carried} sequences, not of {batch}; reset() begins anew"
            )
        return self.tensors

    def put(self, states: Mapping[str, np.ndarray]) -> None:
        """Carries copies of these (B, length) from here on; others stay as they are, or begin.

        Raises ValueError for a name that there is not, another length, or other sequences than the rest.
        """
        states = checks.states(states, self.sizes)
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
        """Puts those of these names back to the initial ones, or all; raises ValueError for another name."""
        names_to_reset = set(names)
        checks.state_names(names_to_reset, self.sizes)
        if not names_to_reset:
            self.tensors = None
        elif self.tensors is not None:
            fresh = self._initial(self._batch())
            pairs = zip(self.sizes, self.tensors, fresh, strict=True)
            self.tensors = [new if name in names_to_reset else old for name, old, new in pairs]

    def _batch(self) -> Any:
        """B of the carried states; None of a model without states."""
        return next((tensor.shape[self._batch_axis] for tensor in self.tensors or ()), None)


def flat(blocks: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The states of all blocks, one after the other."""
    return [state for block in blocks for state in block]


def by_block(model: ModelSpec, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """The inverse of `flat`."""
    each = len(model.spec.state)
    return [list(tensors[n * each : (n + 1) * each]) for n in range(len(model.blocks()))]
