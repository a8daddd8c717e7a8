"""What a session computes: pure functions of weights, slots and states, as the engine compiles them.

Legend: S steps, T time steps, B batch, I input features, H hidden units, C classes, D directions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from keras import ops

from harness.backends.base import Setup
from harness.backends.keras import loop, optimizer, packing, readout
from harness.backends.keras.dropout import dropout
from harness.backends.keras.engines import Engine, Tensor, TrainingState, TrainLoop


@dataclass(frozen=True)
class Functions:
    """Each is traced at its first call. `params` are the packed weights of the whole model."""

    jit: bool  # whether they go through the engine's compiler
    logits: Callable[..., Tensor]  # (params, x (B, T, I)) -> (B, C), not compiled
    features_and_logits: Callable[..., tuple[Tensor, Tensor]]  # (params, x) -> (B, D·H), (B, C)
    outputs: Callable[..., tuple[Tensor, ...]]  # (params, states, x) -> sequence, last, logits, final states
    gradients: Callable[
        ..., tuple[Tensor, list[Tensor], list[Tensor]]
    ]  # (params, x, y) -> loss, gradients, []
    train_loop: TrainLoop  # S updates
    dropout_masks: Callable[..., Tensor]  # (ones, numbers as in `loss`) -> masks (layers - 1, B, T, D·H)
    matmul_pairs: Callable[..., Tensor]  # (x, count, w, w transposed) -> x w wᵀ w wᵀ …


def layers(setup: Setup, cell: ModuleType, engine: Engine, implementation: str) -> tuple[loop.Forward, bool]:
    """The layers as the implementation runs them, and whether through the engine's compiler."""
    model, options = setup.model, setup.model.options
    if implementation == "fused" and hasattr(cell, "fused_layer"):
        return loop.fused(model, cell, dtype=setup.precision, use_cudnn=engine.use_cudnn)
    if implementation == "fused":
        stock = partial(cell.fused_sequence, options=options)
        return loop.stack(model, loop.at_once(stock)), loop.by_default_compiled()
    if implementation == "scan":
        return loop.stack(model, loop.at_once(loop.scanned(cell, options))), False
    jit = implementation == "compiled"
    if hasattr(cell, "sequence"):
        sequence = engine.compile_part(partial(cell.sequence, options=options), jit)
        return loop.stack(model, loop.at_once(sequence)), jit
    scan = engine.scan(jit)
    hoist = scan is None or engine.hoist
    return loop.stack(model, loop.stepped(cell, model, scan or loop.python_loop, hoist=hoist)), jit


def build(setup: Setup, cell: ModuleType, engine: Engine, implementation: str) -> Functions:
    """The functions of a model, an implementation and an optimiser."""
    model, spec = setup.model, setup.optimizer
    forward, jit = layers(setup, cell, engine, implementation)
    truncated = (setup.truncate or model.steps) < model.steps
    drop_at = dropout(model) if model.dropout else None
    masks = [masked(mask, engine.put) for mask in packing.trained(model, cell)]

    def forward_all(
        params: list[Tensor], *arguments: Any, **keywords: Any
    ) -> tuple[loop.LayerOutputs, Tensor, Tensor]:
        """The forward pass, what the readout reads and the logits."""
        layers_out, head = forward(params, *arguments, **keywords), packing.split(model, params).head
        feature = readout.feature(model, head, layers_out.sequence, layers_out.last)
        return layers_out, feature, readout.logits(head, feature)

    def features_and_logits(params: list[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        return forward_all(params, x)[1:]

    def outputs(params: list[Tensor], states: list[Tensor], x: Tensor) -> tuple[Tensor, ...]:
        layers_out, _, logits = forward_all(params, x, states, return_all=True)
        return layers_out.sequence, layers_out.last, logits, layers_out.states

    def loss(
        params: list[Tensor], x: Tensor, y: Tensor, states: list[Tensor], numbers: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """In training `numbers` are those of the epoch's dropout, of the update in the epoch and of
        the chunk in its sequence."""
        begin, drop = None, None
        if truncated and numbers is not None:
            fresh = loop.initial(model, params, x.shape[0], x.dtype)
            begin = [ops.where(numbers[2] == 0, a, b) for a, b in zip(fresh, states, strict=True)]
        if drop_at and numbers is not None:
            drop = drop_at(numbers[0], numbers[1])
        layers_out, _, logits = forward_all(params, x, begin, return_all=begin is not None, drop=drop)
        value = ops.mean(ops.sparse_categorical_crossentropy(y, logits, from_logits=True))
        if model.spec.penalty:
            value = value + readout.penalty(model, begin, layers_out.states, x.shape[1])
        return value, layers_out.states if truncated else []

    batch_first = implementation == "fused" and hasattr(cell, "fused_layer")

    def dropout_masks(ones: Tensor, numbers: Tensor) -> Tensor:
        assert drop_at
        drop = drop_at(numbers[0], numbers[1])
        xs = ones if batch_first else ops.swapaxes(ones, 0, 1)
        masks = ops.stack([drop(xs) for _ in range(model.layers - 1)])
        return masks if batch_first else ops.swapaxes(masks, 1, 2)

    value_and_gradients = engine.value_and_gradients(loss)

    def gradients(
        params: list[Tensor],
        x: Tensor,
        y: Tensor,
        states: Sequence[Tensor] = (),
        numbers: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        value, raw, states = value_and_gradients(params, x, y, states, numbers)
        return value, [mask(g) for mask, g in zip(masks, raw, strict=True)], states

    def update(
        carry: TrainingState, data: Sequence[Tensor], row: Sequence[Tensor]
    ) -> tuple[TrainingState, Tensor]:
        params, slots, states = carry
        rows, scale, numbers = row
        x, y = (ops.take(tensor, rows, axis=0) for tensor in data)
        value, grads, states = gradients(params, x, y, states, numbers)
        return (*optimizer.update(spec, params, grads, slots, scale), states), value

    # a scan and a tree are built for the length of the sequence
    any_length = implementation != "scan" and not model.spec.single_output
    return Functions(
        jit=jit,
        logits=lambda params, x: features_and_logits(params, x)[1],
        features_and_logits=engine.compile(features_and_logits, jit),
        outputs=engine.compile(outputs, jit, any_length=any_length),
        gradients=engine.compile(gradients, jit),
        train_loop=engine.train_loop(update, jit, dropping=drop_at is not None),
        dropout_masks=engine.compile(dropout_masks, jit),
        matmul_pairs=engine.repeat(ops.matmul),
    )


def masked(mask: np.ndarray | None, put: Callable[[np.ndarray], Tensor]) -> Callable[[Tensor], Tensor]:
    """The function that zeroes a gradient where nothing is trained: the identity without a mask."""
    if mask is None:
        return lambda gradient: gradient
    if not mask.any():
        return ops.zeros_like
    on_device = put(mask)
    return lambda gradient: ops.where(on_device, gradient, ops.zeros_like(gradient))
