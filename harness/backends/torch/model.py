"""A recurrent model in PyTorch: what its layers store, how they run, and the readout.

Legend: T time steps, B batch, I input features, H hidden units, C classes, D directions.
"""

from functools import partial
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch

from harness.backends.base import Weights
from harness.backends.torch import inductor, loop
from harness.model import ModelSpec
from harness.spec import cell_spec

Stored = dict[str, torch.Tensor]


class Recurrence(Protocol):
    """The layers: `blocks` is what each layer and direction stores, in the order of the spec's."""

    blocks: list[Stored]

    def __call__(self, xs: torch.Tensor, keep: bool) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The top layer's outputs (T, B, D·H) of xs (T, B, I), if kept, and its last ones (B, D·H)."""


class Fused:
    """The framework's own stock layer."""

    def __init__(self, cell: ModuleType, spec: ModelSpec, packed: list[Weights], **place: Any) -> None:
        self.layer = cell.fused(spec).to(**place)
        self.width = spec.width
        self.top = -len(spec.directions)
        suffixes = [f"_l{n}{way}" for n in range(spec.layers) for way in ("", "_reverse")[: -self.top]]
        self.blocks = [
            {name: getattr(self.layer, name + suffix) for name in arrays}
            for suffix, arrays in zip(suffixes, packed, strict=True)
        ]

    def __call__(self, xs: torch.Tensor, keep: bool) -> tuple[torch.Tensor | None, torch.Tensor]:
        self.layer.training = torch.is_grad_enabled()
        hs, state = self.layer(xs)
        h = state[0] if isinstance(state, tuple) else state  # (layers·D, B, H)
        return hs, h[self.top :].transpose(0, 1).reshape(-1, self.width)


class Looped:
    """The cell's step in the time loop, through the compiler or not."""

    def __init__(
        self, cell: ModuleType, spec: ModelSpec, packed: list[Weights], compiled: bool, **place: Any
    ) -> None:
        step = partial(cell.step, **spec.options) if spec.options else cell.step
        run = loop.over_time(step)
        self.run = loop.in_chunks(inductor.compile(run)) if compiled else run
        self.states = len(cell_spec(spec.cell).state)
        self.directions = len(spec.directions)
        self.blocks = [
            {name: torch.zeros(a.shape, **place).requires_grad_() for name, a in arrays.items()}
            for arrays in packed
        ]

    def __call__(self, xs: torch.Tensor, keep: bool) -> tuple[torch.Tensor | None, torch.Tensor]:
        size = self.directions
        layers = [self.blocks[n : n + size] for n in range(0, len(self.blocks), size)]
        return loop.stack(self.run, xs, layers, states=self.states, keep=keep)


class Model:
    """Layers and readout with their weights on one device.

    `trained` holds every tensor that an optimiser may change; `partly` those of them that have
    redundant numbers too, each with a mask (1 canonical, 0 redundant) for its gradient.
    """

    def __init__(
        self, spec: ModelSpec, cell: ModuleType, implementation: str, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.spec = spec
        self.cell = cell
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        masks = self._pack({name: np.ones(shape) for name, shape in spec.shapes().items()})
        if implementation == "fused":
            self.layers: Recurrence = Fused(cell, spec, masks, **place)
        else:
            self.layers = Looped(cell, spec, masks, compiled=implementation == "compiled", **place)
        self.W = torch.zeros(spec.width, spec.classes, **place).requires_grad_()
        self.b = torch.zeros(spec.classes, **place).requires_grad_()

        self.trained: list[torch.Tensor] = []
        self.partly: list[tuple[torch.Tensor, torch.Tensor]] = []
        for stored, mask in zip(self.layers.blocks, masks, strict=True):
            for name, tensor in stored.items():
                tensor.requires_grad_(bool(mask[name].any()))
                if tensor.requires_grad:
                    self.trained.append(tensor)
                    if not mask[name].all():
                        self.partly.append((tensor, torch.tensor(mask[name], **place)))
        self.trained += [self.W, self.b]

    def __call__(self, xs: torch.Tensor, *, keep: bool = False) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Outputs (T, B, D·H) of xs (T, B, I), if kept or needed, and logits (B, C)."""
        mean = self.spec.readout == "mean"
        hs, h = self.layers(xs, keep or mean)
        if mean and hs is not None:
            h = hs.mean(0)
        return hs, torch.addmm(self.b, h, self.W)

    def put(self, weights: Weights) -> None:
        """Copies canonical weights into the stored tensors."""
        with torch.no_grad():
            for stored, arrays in zip(self.layers.blocks, self._pack(weights), strict=True):
                for name, tensor in stored.items():
                    tensor.copy_(torch.tensor(arrays[name], dtype=tensor.dtype))
            self.W.copy_(torch.tensor(weights["readout.W"], dtype=self.W.dtype))
            self.b.copy_(torch.tensor(weights["readout.b"], dtype=self.b.dtype))

    def canonical(self, of: dict[torch.Tensor, torch.Tensor] | None = None) -> Weights:
        """Canonical copies of the stored tensors, or of what `of` gives for each (its gradient)."""

        def fetch(tensor: torch.Tensor) -> np.ndarray:
            if of is None:
                return tensor.detach().cpu().numpy()
            return of[tensor].cpu().numpy() if tensor in of else np.zeros(tuple(tensor.shape))

        found = {"readout.W": fetch(self.W), "readout.b": fetch(self.b)}
        for (prefix, _), stored in zip(self.spec.blocks(), self.layers.blocks, strict=True):
            arrays = self.cell.unpack({name: fetch(tensor) for name, tensor in stored.items()})
            found |= {f"{prefix}.{name}": array for name, array in arrays.items()}
        return {name: np.array(found[name], order="C") for name in self.spec.shapes()}

    def _pack(self, weights: Weights) -> list[Weights]:
        names = [param.name for param in cell_spec(self.spec.cell).params]
        return [
            self.cell.pack({name: weights[f"{prefix}.{name}"] for name in names})
            for prefix, _ in self.spec.blocks()
        ]
