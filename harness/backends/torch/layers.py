"""Layers and directions on top of and beside each other, and what each of them stores.

Legend: T time steps, B batch, I input features, H hidden units, D directions.
"""

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn import functional

from harness.backends.base import Weights
from harness.backends.torch.cells import State
from harness.backends.torch.loop import one_way
from harness.model import ModelSpec


class Passed(NamedTuple):
    """The top layer's outputs ys (T, B, D·H), at least if kept, its last ones (B, D·H), and the states
    after the pass: of every layer and direction, each (B, length)."""

    ys: torch.Tensor | None
    last: torch.Tensor
    states: list[State]


class Layers(Protocol):
    """`blocks` is what each layer and direction stores, in the order of the spec's."""

    blocks: list[dict[str, torch.Tensor]]

    def __call__(self, xs: torch.Tensor, states: Sequence[State] | None, *, keep: bool, drop: bool) -> Passed:
        """Reads xs (T, B, I) from these states, else from zeros; `drop` drops outputs between layers."""


def build(
    cell: ModuleType, spec: ModelSpec, implementation: str, packed: list[Weights], **place: Any
) -> Layers:
    """The layers that an implementation is; `packed` has the shapes of what each block stores."""
    if implementation == "fused" and hasattr(cell, "fused"):
        return Stock(cell, spec, packed, **place)
    return Stacked(cell, spec, implementation, packed, **place)


class Stock:
    """The framework's own layer for the whole stack; one for each layer of it where dropout comes
    between, since cuDNN's own has random numbers that nothing sets back."""

    def __init__(self, cell: ModuleType, spec: ModelSpec, packed: list[Weights], **place: Any) -> None:
        self.dropout = spec.dropout
        self.directions = len(spec.directions)
        stacks = [spec]
        if spec.dropout:
            stacks = [replace(spec, layers=1, features=spec.layer_features(n)) for n in range(spec.layers)]
        self.stacks = [cell.fused(stack).to(**place) for stack in stacks]
        names = [
            (layer, f"_l{n}{way}")
            for layer, stack in zip(self.stacks, stacks, strict=True)
            for n in range(stack.layers)
            for way in ("", "_reverse")[: self.directions]
        ]
        self.blocks = [
            {name: getattr(layer, name + suffix) for name in arrays}
            for (layer, suffix), arrays in zip(names, packed, strict=True)
        ]

    def __call__(self, xs: torch.Tensor, states: Sequence[State] | None, *, keep: bool, drop: bool) -> Passed:
        final: list[State] = []
        for n, layer in enumerate(self.stacks):
            if n and drop:
                xs = functional.dropout(xs, self.dropout)
            first = None
            if states is not None:
                first = together(states[len(final) : len(final) + layer.num_layers * self.directions])
            layer.training = torch.is_grad_enabled()
            xs, state = layer(xs, first)
            final += apart(state)
        return Passed(xs, beside([state[0] for state in final[-self.directions :]], dim=1), final)


def together(states: Sequence[State]) -> torch.Tensor | State:
    """The states of some blocks, each (B, H), as stock layers take them: h or (h, c), each (blocks, B, H)."""
    stacked = tuple(torch.stack(tensors) for tensors in zip(*states, strict=True))
    return stacked if len(stacked) > 1 else stacked[0]


def apart(state: torch.Tensor | State) -> list[State]:
    """The inverse of `together`."""
    tensors = state if isinstance(state, tuple) else (state,)
    return list(zip(*(tensor.unbind(0) for tensor in tensors), strict=True))


class Stacked:
    """The cell's own functions over time, one direction of one layer after the other."""

    def __init__(
        self, cell: ModuleType, spec: ModelSpec, implementation: str, packed: list[Weights], **place: Any
    ) -> None:
        self.way = one_way(cell, implementation, spec.options)
        self.dropout = spec.dropout
        self.directions = len(spec.directions)
        self.sizes = [list(spec.state_sizes(features).values()) for _, features in spec.blocks()]
        self.blocks = [
            {name: torch.zeros(a.shape, **place) for name, a in arrays.items()} for arrays in packed
        ]

    def __call__(self, xs: torch.Tensor, states: Sequence[State] | None, *, keep: bool, drop: bool) -> Passed:
        if states is None:
            states = [tuple(xs.new_zeros(xs.shape[1], n) for n in sizes) for sizes in self.sizes]
        final: list[State] = []
        while len(final) < len(self.blocks):
            if final and drop:
                xs = functional.dropout(xs, self.dropout)
            wanted = keep or len(final) + self.directions < len(self.blocks)
            ys, last = [], []
            for backward in (False, True)[: self.directions]:
                n = len(final)
                y, y_last, state = self.way(xs, states[n], self.blocks[n], keep=wanted, backward=backward)
                ys.append(y)
                last.append(y_last)
                final.append(state)
            if wanted:
                xs = beside(ys, dim=2)
        return Passed(xs if keep else None, beside(last, dim=1), final)


def beside(tensors: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
    """The tensors side by side, without a copy where there is one only."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)
