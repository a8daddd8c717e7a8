"""A recurrent model in PyTorch: its weights, canonical and as stored, its outputs and its loss.

Legend: T time steps, B batch, I input features, H hidden units, C classes, D directions.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from harness.backends.base import Setup, Weights
from harness.backends.torch import layers, padding, readout
from harness.backends.torch.cells import State
from harness.model.network import ModelSpec

LOW = {"bfloat16": torch.bfloat16, "float16": torch.float16}  # precisions whose layers compute in less


class ModelOutputs(NamedTuple):
    """What a model makes of a batch: the outputs ys (T, B, D·H), at least if kept, the last ones and the
    features, both (B, D·H), the logits (B, C), and the states after it, block by block."""

    ys: torch.Tensor | None
    last: torch.Tensor
    features: torch.Tensor
    logits: torch.Tensor
    states: list[State]


def build(setup: Setup, implementation: str, **place: Any) -> "Model":
    """The model of a setup, with weights of zeros, on a device and in the type that numbers are held in."""
    cell = import_module(f"harness.backends.torch.cells.{setup.model.cell}")
    padding.check(setup, cell, implementation)
    if setup.pad_features:
        cell = padding.PaddedCell(cell, setup.model.features)
    low = LOW.get(setup.precision)
    return Model(setup.model, cell, implementation, low, **place)


class Model:
    """Layers, their first states and the readout, with their weights on one device.

    `plain` are the tensors that are stored as they are, by canonical name: learned initial states and
    the readout. `trained` holds every tensor that an optimiser may change. `partly_trained` are those of
    them with numbers that it may not change (redundant or frozen), each with a mask (1 trained, 0 not) for
    its gradient. `low` is a smaller type for the layers' computations, or None.
    """

    def __init__(
        self, spec: ModelSpec, cell: ModuleType, implementation: str, low: torch.dtype | None, **place: Any
    ) -> None:
        self.spec = spec
        self.cell = cell
        self.low = low
        self.place = place
        self.learned = spec.learned_states()
        params = spec.params()
        masks = self._pack({name: np.full(s, float(param.trained)) for name, (param, s) in params.items()})
        self.layers = layers.build(cell, spec, implementation, masks, low, **place)
        own = {f"{prefix}.{param.name}" for prefix, _ in spec.blocks() for param in spec.spec.params}
        self.plain = {
            name: torch.zeros(shape, **place).requires_grad_()
            for name, (_, shape) in params.items()
            if name not in own
        }
        self.trained: list[torch.Tensor] = []
        self.partly_trained: list[tuple[torch.Tensor, torch.Tensor]] = []
        for stored, mask in zip(self.layers.blocks, masks, strict=True):
            for name, tensor in stored.items():
                tensor.requires_grad_(bool(mask[name].any()))
                if tensor.requires_grad:
                    self.trained.append(tensor)
                    if not mask[name].all():
                        self.partly_trained.append((tensor, torch.tensor(mask[name], **place)))
        self.trained += self.plain.values()

    def __call__(
        self,
        xs: torch.Tensor,
        states: Sequence[State] | None = None,
        *,
        keep: bool = False,
        drop: bool = False,
    ) -> ModelOutputs:
        """Reads xs (T, B, I) from these states, else from the model's own first ones."""
        if states is None and self.learned:
            states = self.initial_states(xs.shape[1])
        keep = keep or self.spec.readout != "last"
        ys, last, final = self.layers(xs, states, keep=keep, drop=drop)
        features = readout.features(self.spec.readout, ys, last, self.plain)
        logits = torch.addmm(self.plain["readout.b"], features, self.plain["readout.W"])
        return ModelOutputs(ys, last, features, logits, final)

    def loss(
        self, xs: torch.Tensor, y: torch.Tensor, states: Sequence[State] | None = None, *, drop: bool = False
    ) -> tuple[torch.Tensor, list[State]]:
        """The loss of xs (T, B, I) with labels y (B,), and the states after it."""
        read = self(xs, states, drop=drop)
        loss = functional.cross_entropy(read.logits, y)
        if self.spec.spec.penalty is not None:
            loss = loss + self._penalty(*self.spec.spec.penalty, len(xs), states, read.states)
        return loss, read.states

    def initial_states(self, batch: int) -> list[State]:
        """The model's own first states of B sequences, (B, length) each: zeros, or what it learned."""
        return [
            tuple(
                self.plain[f"{prefix}.initial_{name}"].repeat(batch, 1)
                if name in self.learned
                else torch.zeros(batch, length, **self.place)
                for name, length in self.spec.state_sizes(features).items()
            )
            for prefix, features in self.spec.blocks()
        ]

    def tensors(self) -> list[torch.Tensor]:
        """Every stored tensor, trained or not."""
        return [tensor for block in (*self.layers.blocks, self.plain) for tensor in block.values()]

    def put(self, weights: Weights) -> None:
        """Copies canonical weights into the stored tensors."""
        with torch.no_grad():
            for tensor, array in self.stored(weights):
                tensor.copy_(torch.tensor(array, dtype=tensor.dtype))

    def stored(self, weights: Weights) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Every stored tensor with what canonical arrays are in its form."""
        for stored, arrays in zip(self.layers.blocks, self._pack(weights), strict=True):
            yield from ((tensor, arrays[name]) for name, tensor in stored.items())
        yield from ((tensor, weights[name]) for name, tensor in self.plain.items())

    def canonical(self, of: dict[torch.Tensor, torch.Tensor] | None = None) -> Weights:
        """Canonical copies of the stored tensors, or of what `of` gives for each (its gradient, a
        slot), zeros where it gives nothing."""

        def fetch(tensor: torch.Tensor) -> np.ndarray:
            if of is None:
                return tensor.detach().cpu().numpy()
            return (of[tensor] if tensor in of else torch.zeros_like(tensor)).cpu().numpy()

        weights = {name: fetch(tensor) for name, tensor in self.plain.items()}
        for (prefix, _), stored in zip(self.spec.blocks(), self.layers.blocks, strict=True):
            arrays = self.cell.unpack({name: fetch(tensor) for name, tensor in stored.items()})
            weights |= {f"{prefix}.{name}": array for name, array in arrays.items()}
        return {name: np.array(weights[name], order="C") for name in self.spec.shapes()}

    def _penalty(
        self, state: str, weight: str, steps: int, before: Sequence[State] | None, after: Sequence[State]
    ) -> torch.Tensor:
        """What the penalised state has grown by, a sequence and a step, over all directions, weighed."""
        k = [s.name for s in self.spec.spec.state].index(state)
        grown = sum(block[k].mean() for block in after)
        if before is not None:
            grown = grown - sum(block[k].mean() for block in before)
        return float(self.spec.options[weight]) / steps * grown

    def _pack(self, weights: Weights) -> list[Weights]:
        names = [param.name for param in self.spec.spec.params]
        return [
            self.cell.pack({name: weights[f"{prefix}.{name}"] for name in names})
            for prefix, _ in self.spec.blocks()
        ]
