"""What a cell and a model are: names, shapes, parameter counts, FLOPs. No framework, no randomness.

Legend, here and everywhere: T time steps, B batch, I input features, H hidden units, C classes,
D directions (1 or 2).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any, Literal

Role = Literal["input", "recurrent", "bias"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Param:
    """One canonical parameter of a cell: its name, its shape in the legend's letters, its role."""

    name: str
    shape: tuple[str, ...]
    role: Role
    initial: float = 0.0  # a bias' starting value where the initialiser sets biases to constants


@dataclass(frozen=True)
class CellSpec:
    """A recurrent cell, as data.

    `gates` are the names of its pre-activations, `state` those of what it carries from step to step,
    `options` the choices that its configuration offers beside `hidden`, each with its allowed values.
    """

    name: str
    title: str
    paper: str
    equations: str
    gates: tuple[str, ...]
    state: tuple[str, ...]
    params: tuple[Param, ...]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def gate(name: str, *, initial_bias: float = 0.0) -> tuple[Param, Param, Param]:
    """The three canonical parameters of one gate: `W_x· (I, H)`, `W_h· (H, H)`, `b_· (H,)`."""
    return (
        Param(f"W_x{name}", ("I", "H"), "input"),
        Param(f"W_h{name}", ("H", "H"), "recurrent"),
        Param(f"b_{name}", ("H",), "bias", initial_bias),
    )


def cell_spec(name: str) -> CellSpec:
    """The `SPEC` of `harness/cells/<name>.py`; raises ModuleNotFoundError where there is none."""
    spec: CellSpec = import_module(f"harness.cells.{name}").SPEC
    return spec


@dataclass(frozen=True)
class ModelSpec:
    """A stack of one cell over a sequence `(B, T, I)`, read out into `C` logits.

    Each layer runs in one or two directions; the next layer reads both side by side (forward first).
    `readout="last"` takes what each direction gave after its own whole pass, so the forward output at
    the last time step and the backward output at the first; `"mean"` takes the mean over all T outputs.
    """

    cell: str
    steps: int
    features: int
    hidden: int
    classes: int
    layers: int = 1
    bidirectional: bool = False
    readout: str = "last"
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def directions(self) -> tuple[str, ...]:
        return ("forward", "backward") if self.bidirectional else ("forward",)

    @property
    def width(self) -> int:
        """Outputs of a layer per time step, D·H."""
        return len(self.directions) * self.hidden

    def layer_features(self, layer: int) -> int:
        """Inputs of a layer per time step: I for the first, D·H above it."""
        return self.features if layer == 0 else self.width

    def blocks(self) -> list[tuple[str, int]]:
        """(canonical prefix, input features) of every layer and direction, from the input upwards."""
        return [
            (f"layers.{layer}.{direction}", self.layer_features(layer))
            for layer in range(self.layers)
            for direction in self.directions
        ]

    def params(self) -> dict[str, tuple[Param, Shape]]:
        """Canonical name -> (the parameter's description, its shape), in canonical order."""
        cell = cell_spec(self.cell)
        found: dict[str, tuple[Param, Shape]] = {}
        for prefix, features in self.blocks():
            sizes = {"I": features, "H": self.hidden}
            for param in cell.params:
                found[f"{prefix}.{param.name}"] = (param, tuple(sizes[s] for s in param.shape))
        found["readout.W"] = (Param("W", ("DH", "C"), "input"), (self.width, self.classes))
        found["readout.b"] = (Param("b", ("C",), "bias"), (self.classes,))
        return found

    def shapes(self) -> dict[str, Shape]:
        """Canonical name -> shape, in canonical order."""
        return {name: shape for name, (_, shape) in self.params().items()}

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(shape) for shape in self.shapes().values())

    @property
    def flops_per_sequence(self) -> int:
        """FLOPs of one sequence's forward pass: two for each multiply-add of its matrix products.

        Element-wise work is left out, as is usual; training counts three times this (one product
        forward, two backward).
        """
        return sum(
            2 * math.prod(shape) * (1 if name.startswith("readout.") else self.steps)
            for name, shape in self.shapes().items()
            if len(shape) == 2
        )

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "options": dict(self.options)}, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "ModelSpec":
        values: dict[str, Any] = json.loads(text)
        return ModelSpec(**values)
