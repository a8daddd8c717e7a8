"""Layers and directions on top of and beside each other, and what each of them stores.

Weights, inputs, outputs and states are of the type that the precision holds them in. With `low`, a
smaller one, a stock layer computes in that type altogether; a cell's own functions run under autocast,
which does their products in it and adds to a state in the state's own type.

Legend: T time steps, B batch, I input features, H hidden units, D directions.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn import functional

from harness.backends.base import Weights
from harness.backends.torch.cells import State
from harness.backends.torch.loop import direction_of
from harness.backends.torch.padding import widened
from harness.model.network import ModelSpec


class LayerOutputs(NamedTuple):
    """The top layer's outputs ys (T, B, D·H), at least if kept, its last ones (B, D·H), and the states
    after the pass: of every layer and direction, each (B, length)."""

    ys: torch.Tensor | None
    last: torch.Tensor
    states: list[State]


class Layers(Protocol):
    """`blocks` is what each layer and direction stores, in the order of the spec's."""

    blocks: list[dict[str, torch.Tensor]]

    def __call__(
        self, xs: torch.Tensor, states: Sequence[State] | None, *, keep: bool, drop: bool
    ) -> LayerOutputs:
        """Reads xs (T, B, I) from these states, else from zeros; `drop` drops outputs between layers."""


STOCK: dict[str, Callable[..., Any]] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}


def build(
    cell: ModuleType,
    spec: ModelSpec,
    implementation: str,
    packed: list[Weights],
    low: torch.dtype | None,
    **place: Any,
) -> Layers:
    """The layers that an implementation is; `packed` has the shapes of what each block stores."""
    if implementation == "fused" and hasattr(cell, "fused_layer"):
        return Stock(cell, spec, packed, low, **place)
    return Stacked(cell, spec, implementation, packed, low, **place)


class Stock:
    """The framework's own layer for the whole stack; one for each layer of it where dropout comes
    between, since cuDNN's own has random numbers that nothing sets back.

    What the module calls is called here, since autocast would have cuDNN compute in float16.
    """

    def __init__(
        self,
        cell: ModuleType,
        spec: ModelSpec,
        packed: list[Weights],
        low: torch.dtype | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.dtype, self.inside = dtype, low or dtype
        self.dropout = spec.dropout
        self.directions = len(spec.directions)
        stacks = [spec]
        if spec.dropout:
            stacks = [replace(spec, layers=1, features=spec.layer_features(n)) for n in range(spec.layers)]
        self.stacks = [cell.fused_layer(stack).to(device, dtype) for stack in stacks]
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

    def __call__(
        self, xs: torch.Tensor, states: Sequence[State] | None, *, keep: bool, drop: bool
    ) -> LayerOutputs:
        final: list[State] = []
        for n, layer in enumerate(self.stacks):
            if n and drop:
                xs = functional.dropout(xs, self.dropout)
            blocks = layer.num_layers * self.directions
            if states is not None:
                first = tuple(map(torch.stack, zip(*states[len(final) : len(final) + blocks], strict=True)))
            else:
                zeros = xs.new_zeros(blocks, xs.shape[1], layer.hidden_size)
                first = (zeros, zeros) if layer.mode == "LSTM" else (zeros,)
            xs = widened(xs.to(self.inside), layer.input_size)
            xs, *state = self.pass_through(layer, xs, [s.to(self.inside) for s in first])
            final += zip(*(s.to(self.dtype).unbind(0) for s in state), strict=True)
        last = concatenated([state[0] for state in final[-self.directions :]], dim=1)
        return LayerOutputs(xs.to(self.dtype) if keep else None, last, final)

    def pass_through(
        self, layer: Any, xs: torch.Tensor, first: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        """The outputs of a stock layer and the states after it, h or h and c, each (blocks, B, H)."""
        weights = [w.to(self.inside) for w in layer._flat_weights]
        training = torch.is_grad_enabled()
        outputs: tuple[torch.Tensor, ...] = STOCK[layer.mode](
            xs,
            first if layer.mode == "LSTM" else first[0],
            weights,
            True,  # with biases
            layer.num_layers,
            0.0,  # dropout
            training,
            layer.bidirectional,
            False,  # batch first
        )
        return outputs


class Stacked:
    """The cell's own functions over time, one direction of one layer after the other."""

    def __init__(
        self,
        cell: ModuleType,
        spec: ModelSpec,
        implementation: str,
        packed: list[Weights],
        low: torch.dtype | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.dtype = dtype
        self.products = partial(torch.autocast, device.type, low) if low else nullcontext
        self.direction = direction_of(cell, implementation, spec.options, device.type)
        self.dropout = spec.dropout
        self.directions = len(spec.directions)
        self.sizes = [list(spec.state_sizes(features).values()) for _, features in spec.blocks()]
        self.blocks = [
            {name: torch.zeros(a.shape, device=device, dtype=dtype) for name, a in arrays.items()}
            for arrays in packed
        ]

    def __call__(
        self, xs: torch.Tensor, states: Sequence[State] | None, *, keep: bool, drop: bool
    ) -> LayerOutputs:
        if states is None:
            states = [tuple(xs.new_zeros(xs.shape[1], n) for n in sizes) for sizes in self.sizes]
        with self.products():
            ys, last, final = self.pass_through(xs, states, keep=keep, drop=drop)
        final = [tuple(s.to(self.dtype) for s in state) for state in final]
        return LayerOutputs(None if ys is None else ys.to(self.dtype), last.to(self.dtype), final)

    def pass_through(
        self, xs: torch.Tensor, states: Sequence[State], *, keep: bool, drop: bool
    ) -> LayerOutputs:
        """The same, in the types that the computation has left."""
        final: list[State] = []
        while len(final) < len(self.blocks):
            if final and drop:
                xs = functional.dropout(xs, self.dropout)
            keep_ys = keep or len(final) + self.directions < len(self.blocks)
            ys, last = [], []
            for backward in (False, True)[: self.directions]:
                n = len(final)
                y, y_last, state = self.direction(
                    xs, states[n], self.blocks[n], keep=keep_ys, backward=backward
                )
                ys.append(y)
                last.append(y_last)
                final.append(state)
            if keep_ys:
                xs = concatenated(ys, dim=2)
        return LayerOutputs(xs if keep else None, concatenated(last, dim=1), final)


def concatenated(tensors: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
    """The tensors side by side, without a copy where there is one only."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)
