"""The model in Keras: a stack of layers in one or two directions and a readout.

`stepped` runs a cell's `step` in a time loop, the input projection of all time steps hoisted into one
matrix product; `fused` lays Keras' own layers side by side. Both are pure functions of the weights, a
flat list: what the cell's `pack` gives for every layer and direction, then the readout's W and b.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import ModuleType
from typing import Protocol

import keras
from keras import ops

from harness.backends.keras.engines import CellStep, Scan, Tensor
from harness.model import ModelSpec
from harness.spec import cell_spec


class Forward(Protocol):
    """A model's forward pass."""

    def __call__(self, params: list[Tensor], x: Tensor, *, whole: bool = False) -> tuple[Tensor, Tensor]:
        """x (B, T, I) -> (outputs of the top layer (B, T, D·H), logits (B, C)).

        Without `whole` the outputs may be missing (None) where the readout does not need them.
        """


def readout(model: ModelSpec, params: list[Tensor], top: Tensor) -> Tensor:
    """Logits (B, C) of the top layer's outputs (B, T, D·H), or of its last ones (B, D·H)."""
    W, b = params[-2:]
    if len(top.shape) == 3 and model.readout == "mean":
        top = ops.mean(top, axis=1)
    elif len(top.shape) == 3:
        H = model.hidden
        last = [top[:, -1, :H], top[:, 0, H:]]
        top = ops.concatenate(last[: len(model.directions)], axis=-1)
    return ops.matmul(top, W) + b


def shares(model: ModelSpec, params: list[Tensor]) -> Iterator[list[list[Tensor]]]:
    """The weights of every layer, one list per direction."""
    each = (len(params) - 2) // len(model.blocks())
    blocks = [params[k : k + each] for k in range(0, len(params) - 2, each)]
    D = len(model.directions)
    for layer in range(model.layers):
        yield blocks[layer * D : (layer + 1) * D]


def one_by_one(
    step: CellStep, xs: Tensor, state: tuple[Tensor, ...], params: Sequence[Tensor], *, reverse: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The time loop in Python; an engine that traces has a `scan` of its own in its place."""
    # split, not xs[t]: the gradient of an index is as large as xs, once for every t
    inputs = [ops.squeeze(x, axis=0) for x in ops.split(xs, xs.shape[0], axis=0)]
    outputs = []
    for x in reversed(inputs) if reverse else inputs:
        state = step(x, state, params)
        outputs.append(state[0])
    return ops.stack(outputs[::-1] if reverse else outputs), state


def stepped(model: ModelSpec, cell: ModuleType, scan: Scan) -> Forward:
    """The cell's `step` in a time loop."""
    carried = len(cell_spec(model.cell).state)
    step = partial(cell.step, options=model.options)

    def direction(xs: Tensor, params: Sequence[Tensor], reverse: bool) -> tuple[Tensor, Tensor]:
        zero = ops.zeros((ops.shape(xs)[1], model.hidden), dtype=xs.dtype)
        start = (zero,) * carried
        outputs, state = scan(step, cell.project(xs, params), start, params, reverse=reverse)
        return outputs, state[0]

    def forward(params: list[Tensor], x: Tensor, *, whole: bool = False) -> tuple[Tensor, Tensor]:
        xs = ops.swapaxes(x, 0, 1)  # (T, B, I)
        for layer in shares(model, params):
            each = [
                direction(xs, share, reverse) for share, reverse in zip(layer, (False, True), strict=False)
            ]
            xs = ops.concatenate([outputs for outputs, _ in each], axis=-1)
            last = ops.concatenate([h for _, h in each], axis=-1)
        sequence = ops.swapaxes(xs, 0, 1)
        return sequence, readout(model, params, last if model.readout == "last" else sequence)

    return forward


def fused(model: ModelSpec, cell: ModuleType, *, dtype: str, use_cudnn: bool | str) -> tuple[Forward, bool]:
    """Keras' own layers, and whether `model.fit` would compile such a model by default.

    The layers hold no weights that count: a scope puts those of `params` in their place.
    """

    def stack(top_sequences: bool) -> list[keras.Layer]:
        layers = []
        for index in range(model.layers):
            layer = cell.fused(
                model.hidden,
                model.options,
                return_sequences=top_sequences or index < model.layers - 1,
                dtype=dtype,
                use_cudnn=use_cudnn,
            )
            if model.bidirectional:
                layer = keras.layers.Bidirectional(layer, dtype=dtype)
            layer.build((None, model.steps, model.layer_features(index)))
            layers.append(layer)
        return layers

    brief, full = stack(model.readout == "mean"), stack(True)

    def forward(params: list[Tensor], x: Tensor, *, whole: bool = False) -> tuple[Tensor, Tensor]:
        for layer, share in zip(full if whole else brief, shares(model, params), strict=True):
            with weights(layer, share):
                x = layer(x)
        return x if len(x.shape) == 3 else None, readout(model, params, x)

    keras_model = keras.Sequential([keras.Input((model.steps, model.features), dtype=dtype), *brief])
    return forward, bool(keras_model.jit_compile)


def weights(layer: keras.Layer, share: list[list[Tensor]]) -> AbstractContextManager[object]:
    """Within it, the layer computes with these weights."""
    tensors = [tensor for params in share for tensor in params]
    scope: AbstractContextManager[object] = keras.StatelessScope(
        list(zip(layer.trainable_variables, tensors, strict=True))
    )
    return scope
