"""The layers in Keras: a stack of one cell in one or two directions, as pure functions.

`stack` runs what a cell's file writes: its `step` in a time loop (`stepped`), or a function of the whole
sequence (`at_once`).
`fused` lays Keras' own layers side by side.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import ModuleType
from typing import NamedTuple, Protocol

import keras
from keras import ops

from harness.backends.keras import packing
from harness.backends.keras.dropout import Drop
from harness.backends.keras.engines import CellStep, Scan, SequenceFunction, State, Tensor
from harness.model.cell import Value
from harness.model.network import ModelSpec


class LayerOutputs(NamedTuple):
    """What a forward pass gives; states are flat lists, in the order of `ModelSpec.states`."""

    sequence: Tensor | None  # the top layer's outputs (B, T, D·H)
    last: Tensor  # what each direction gave after its own whole pass (B, D·H)
    states: list[Tensor]  # the final ones, each (B, length)


class Forward(Protocol):
    """The layers' forward pass."""

    def __call__(
        self,
        params: list[Tensor],
        x: Tensor,
        states: list[Tensor] | None = None,
        *,
        return_all: bool = False,
        drop: Drop | None = None,
    ) -> LayerOutputs:
        """x (B, T, I), from these states or from the model's own; `drop` between layers.

        Without `return_all` the final states may be missing ([]), and the outputs (None) too where the
        readout does not need them.
        """


class Direction(Protocol):
    """One direction of one layer."""

    def __call__(
        self, xs: Tensor, state: State, params: Sequence[Tensor], reverse: bool
    ) -> tuple[Tensor, Tensor, State]:
        """xs (T, B, I) -> (outputs (T, B, H) in the order of the inputs, the last one (B, H), the last
        state)."""


def initial(model: ModelSpec, params: Sequence[Tensor], batch: Tensor | int, dtype: str) -> list[Tensor]:
    """The states that B sequences begin with, each (B, length): learned ones or zeros."""
    starts = packing.split(model, params).starts
    return [
        ops.zeros((batch, length), dtype=dtype) + start.get(name, 0)
        for (_, features), start in zip(model.blocks(), starts, strict=True)
        for name, length in model.state_sizes(features).items()
    ]


def python_loop(
    step: CellStep, xs: Tensor, state: State, params: Sequence[Tensor], *, reverse: bool
) -> tuple[Tensor, State]:
    """The time loop in Python; an engine that traces has a `scan` of its own in its place."""
    # split, not xs[t]: the gradient of an index is as large as xs, once for every t
    inputs = [ops.squeeze(x, axis=0) for x in ops.split(xs, xs.shape[0], axis=0)]
    outputs = []
    for x in reversed(inputs) if reverse else inputs:
        y, state = step(x, state, params)
        outputs.append(y)
    return ops.stack(outputs[::-1] if reverse else outputs), state


def projected(xs: Tensor, p: Sequence[Tensor]) -> Tensor:
    """x_t W_x + b of one step or of all, xs (…, I) -> (…, G·H), of p = [W_x, W_h, b, …]: for cells that have
    no `project`."""
    return ops.matmul(xs, p[0]) + p[2]


def stepped(cell: ModuleType, model: ModelSpec, scan: Scan, *, hoist: bool) -> Direction:
    """The cell's `step` in a time loop; with `hoist` the inputs of all time steps are projected before it,
    in one matrix product, else each step projects its own.

    Where the output is the first state, the last output is the last of those states, which saves the
    gradient of an index.
    """
    step = partial(cell.step, options=model.options)
    project, precompute = getattr(cell, "project", projected), getattr(cell, "precompute", list)
    output_is_state = model.spec.output_is_state

    def direction(
        xs: Tensor, state: State, params: Sequence[Tensor], reverse: bool
    ) -> tuple[Tensor, Tensor, State]:
        def projecting_step(x: Tensor, state: State, shared: Sequence[Tensor]) -> tuple[Tensor, State]:
            return step(project(x, params), state, shared)

        inputs, body = (project(xs, params), step) if hoist else (xs, projecting_step)
        ys, state = scan(body, inputs, state, precompute(params), reverse=reverse)
        return ys, state[0] if output_is_state else ys[0 if reverse else -1], state

    return direction


def at_once(function: SequenceFunction) -> Direction:
    """A function of a whole sequence."""

    def direction(
        xs: Tensor, state: State, params: Sequence[Tensor], reverse: bool
    ) -> tuple[Tensor, Tensor, State]:
        ys, state = function(ops.flip(xs, axis=0) if reverse else xs, state, params)
        return ops.flip(ys, axis=0) if reverse else ys, ys[-1], state

    return direction


def scanned(cell: ModuleType, options: Mapping[str, Value]) -> SequenceFunction:
    """The cell's `scan` over the projected inputs."""

    def function(xs: Tensor, state: State, params: Sequence[Tensor]) -> tuple[Tensor, State]:
        return cell.scan(cell.project(xs, params), state, params, options)

    return function


def stack(model: ModelSpec, direction: Direction) -> Forward:
    """Layers that run a cell's own functions."""
    D, S = len(model.directions), len(model.spec.state)

    def forward(
        params: list[Tensor],
        x: Tensor,
        states: list[Tensor] | None = None,
        *,
        return_all: bool = False,
        drop: Drop | None = None,
    ) -> LayerOutputs:
        if states is None:
            states = initial(model, params, ops.shape(x)[0], x.dtype)
        cells = packing.split(model, params).cells
        finals: list[Tensor] = []
        xs = ops.swapaxes(x, 0, 1)  # (T, B, I)
        for block, own in enumerate(cells):
            layer, way = divmod(block, D)
            if way == 0:
                inputs, each = (drop(xs) if drop and layer else xs), []
            ys, last, state = direction(inputs, tuple(states[block * S : (block + 1) * S]), own, way == 1)
            each.append((ys, last))
            finals += state
            if way == D - 1:
                xs, last = (ops.concatenate(side, axis=-1) for side in zip(*each, strict=True))
        return LayerOutputs(ops.swapaxes(xs, 0, 1), last, finals)

    return forward


def fused(model: ModelSpec, cell: ModuleType, *, dtype: str, use_cudnn: bool | str) -> tuple[Forward, bool]:
    """Keras' own layers, and whether `model.fit` would compile such a model by default.

    The layers hold no weights that count: a scope puts those of `params` in their place.
    """

    def layers(return_all: bool) -> list[keras.Layer]:
        built = []
        for index in range(model.layers):
            layer = cell.fused_layer(
                model,
                return_sequences=return_all or model.readout != "last" or index < model.layers - 1,
                return_state=return_all,
                dtype=dtype,
                use_cudnn=use_cudnn,
            )
            if model.bidirectional:
                layer = keras.layers.Bidirectional(layer, dtype=dtype)
            layer.build((None, None, model.layer_features(index)))
            built.append(layer)
        return built

    brief, full = layers(False), layers(True)
    D, S, H = len(model.directions), len(model.spec.state), model.hidden

    def forward(
        params: list[Tensor],
        x: Tensor,
        states: list[Tensor] | None = None,
        *,
        return_all: bool = False,
        drop: Drop | None = None,
    ) -> LayerOutputs:
        if states is None and model.learned_states():
            states = initial(model, params, ops.shape(x)[0], x.dtype)
        cells = packing.split(model, params).cells
        finals: list[Tensor] = []
        for index, layer in enumerate(full if return_all else brief):
            x = drop(x) if drop and index else x
            start = {} if states is None else {"initial_state": states[index * D * S : (index + 1) * D * S]}
            with weights(layer, cells[index * D : (index + 1) * D]):
                outputs = layer(x, **start)
            x, *state = outputs if return_all else [outputs]
            finals += state
        if len(x.shape) == 2:
            return LayerOutputs(None, x, finals)
        ends = [x[:, -1, :H], x[:, 0, H:]]
        return LayerOutputs(x, ops.concatenate(ends[:D], axis=-1), finals)

    return forward, by_default_compiled(brief)


def by_default_compiled(layers: Sequence[keras.Layer] = ()) -> bool:
    """Whether `model.fit` would compile such layers by default."""
    return bool(keras.Sequential(layers).jit_compile)


def weights(layer: keras.Layer, share: Sequence[Sequence[Tensor]]) -> AbstractContextManager[object]:
    """Within it, the layer computes with these weights."""
    tensors = [tensor for params in share for tensor in params]
    scope: AbstractContextManager[object] = keras.StatelessScope(
        list(zip(layer.trainable_variables, tensors, strict=True))
    )
    return scope
