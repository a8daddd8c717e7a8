"""The states that a session carries from one call of `advance` to the next, by canonical name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.backends.base import States
from harness.backends.numpy.network import BlockStates, initial_states
from harness.backends.numpy.parameters import Views
from harness.model import ModelSpec


class Carried:
    """`blocks` are the states of every block in canonical order, each (length, B); None before the first."""

    def __init__(self, model: ModelSpec, dtype: Any) -> None:
        self.model, self.dtype = model, dtype
        self.names = list(model.states())
        self.blocks: BlockStates | None = None

    def named(self, blocks: BlockStates) -> States:
        """Copies by name, (B, length)."""
        flat = [state for block in blocks for state in block]
        return {name: np.array(state.T, order="C") for name, state in zip(self.names, flat, strict=True)}

    def read(self) -> States:
        return {} if self.blocks is None else self.named(self.blocks)

    def before(self, batch: int, views: Views) -> BlockStates:
        """What to read on from with B sequences; raises ValueError where others were carried."""
        if self.blocks is None:
            self.blocks = initial_states(self.model, views, batch)
        there = {state.shape[1] for block in self.blocks for state in block}
        if there - {batch}:
            raise ValueError(
                f"the carried states are of {', '.join(map(str, there))} sequences, not of {batch}; "
                "reset() begins anew"
            )
        return self.blocks

    def put(self, states: Mapping[str, np.ndarray], views: Views) -> None:
        self._known(states)
        sizes = self.model.states()
        for name, state in states.items():
            if state.ndim != 2 or state.shape[1] != sizes[name]:
                raise ValueError(f"{name}: has shape {state.shape}, must be (B, {sizes[name]})")
        batches = {len(state) for state in states.values()}
        if self.blocks is not None and set(states) != set(self.names):
            batches |= {state.shape[1] for block in self.blocks for state in block}
        if len(batches) > 1:
            raise ValueError(
                f"states of {' and '.join(map(str, sorted(batches)))} sequences cannot go together"
            )
        if not states:
            return
        blocks = initial_states(self.model, views, batches.pop()) if self.blocks is None else self.blocks
        given = iter(self.names)
        self.blocks = [
            [
                np.array(states[name].T, self.dtype, order="C") if name in states else state
                for state in block
                for name in (next(given),)
            ]
            for block in blocks
        ]

    def reset(self, names: Sequence[str], views: Views) -> None:
        self._known(names)
        if self.blocks is None:
            return
        if not names:
            self.blocks = None
            return
        batch = self.blocks[0][0].shape[1]
        fresh = self.named(initial_states(self.model, views, batch))
        self.put({name: fresh[name] for name in names}, views)

    def _known(self, names: Any) -> None:
        for name in names:
            if name not in self.names:
                raise ValueError(
                    f"{name}: is no state of this model, which has {', '.join(self.names) or 'none'}"
                )
