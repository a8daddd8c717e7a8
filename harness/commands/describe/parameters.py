"""The table of a model's weights: names, shapes, roles, how they start, and who trains them.

Legend: see `harness.model.cell`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from harness.commands.describe.columns import LETTERS, Row, columns, head
from harness.model import initializers
from harness.model.cell import CellSpec, Param, Shape
from harness.model.initializers import SCHEMES
from harness.model.network import ModelSpec


@dataclass(frozen=True)
class BlockGroup:
    """Layers and directions whose parameters have the same shapes."""

    prefixes: list[str]
    features: int

    def params(self, model: ModelSpec) -> dict[str, tuple[Param, Shape]]:
        """Own name -> (description, shape)."""
        start = f"{self.prefixes[0]}."
        every = model.params().items()
        return {name.removeprefix(start): param for name, param in every if name.startswith(start)}

    @property
    def title(self) -> str:
        match self.prefixes:
            case [one]:
                return one
            case [one, two]:
                return f"{one} and {two}, each"
            case [first, *_, last]:
                return f"{first} … {last}, each of {len(self.prefixes)}"
        raise ValueError("a group without members")


def block_groups(model: ModelSpec) -> list[BlockGroup]:
    """The blocks of a model, neighbours of equal shapes together: the first layer's, and those above."""
    groups: list[BlockGroup] = []
    for prefix, features in model.blocks():
        if groups and groups[-1].features == features:
            groups[-1].prefixes.append(prefix)
        else:
            groups.append(BlockGroup([prefix], features))
    return groups


def section(model: ModelSpec, scheme: str) -> list[RenderableType]:
    rows: list[Row | Text] = [
        [Text(word, style="dim") for word in ("name", "shape", "", "numbers", "role", "starts as")]
    ]

    def add(title: str, prefix: str, params: Mapping[str, tuple[Param, Shape]]) -> None:
        count = sum(math.prod(shape) for _, shape in params.values())
        frozen = sum(math.prod(shape) for param, shape in params.values() if not param.trained)
        state = f"{frozen:,} of them frozen" if frozen else "all trained"
        rows.append(Text())
        rows.append(Text.assemble((title, "bold"), f": {count:,} numbers, {state}"))
        for name, (param, shape) in params.items():
            start = starts_as(f"{prefix}{name}", param, shape, model, scheme)
            rows.append(
                [
                    name,
                    Text(letters(param, model), style=LETTERS),
                    sizes(shape),
                    Text(f"{math.prod(shape):,}", justify="right"),
                    param.role,
                    start if param.trained else Text(f"frozen; {start}", style="yellow"),
                ]
            )

    for group in block_groups(model):
        add(group.title, f"{group.prefixes[0]}.", group.params(model))
    shapes = model.params().items()
    add("above the layers", "", {name: param for name, param in shapes if not name.startswith("layers.")})
    frozen = sum(math.prod(shape) for _, shape in model.params().values()) - model.parameters
    example = f"{model.blocks()[0][0]}.{model.spec.params[0].name}"
    said = f"A whole name has its block in front: {example}. Numbers start as with init={scheme}."
    return [
        head("PARAMETERS"),
        Text(said, style="dim"),
        Text(),
        *columns(rows, wrap=5),
        Text(),
        Text(f"In all {model.parameters:,} trained numbers and {frozen:,} frozen ones.", style="bold"),
    ]


def letters(param: Param, model: ModelSpec) -> str:
    """A parameter's shape in the legend's letters, as a tuple."""
    return f"({', '.join(letter(size, model) for size in param.shape)}{',' * (len(param.shape) == 1)})"


def letter(size: str, model: ModelSpec) -> str:
    """A size of a parameter as it is written: D·H for the outputs of a layer, H with one direction."""
    return ("D·H" if model.bidirectional else "H") if size == "DH" else size


def sizes(shape: Shape) -> str:
    """A shape as NumPy writes it."""
    return f"({', '.join(str(n) for n in shape)}{',' * (len(shape) == 1)})"


def starts_as(name: str, param: Param, shape: Shape, model: ModelSpec, scheme: str) -> str:
    """How `harness.model.initializers.draw` draws a parameter, in words."""
    above = not name.startswith("layers.")
    options = model.options
    match param.role:
        case "initial state":
            return "0"
        case "reservoir":
            radius = options["spectral_radius"]
            return f"normal, {float(options['density']):.3g} of it connected, spectral radius {radius:g}"
        case "reservoir input":
            return f"uniform ±{options['input_scale']:g}"
    rule = SCHEMES[scheme]
    if rule is initializers.torch:
        return f"uniform ±{1 / math.sqrt(model.width if above else model.hidden):.3g}"
    plain = rule is initializers.keras or above
    match param.role:
        case "bias" if not plain:
            return "0"
        case "bias" | "diagonal":
            return _constant(param, model.spec)
        case "recurrent":
            return "orthogonal" if plain else "identity"
        case "symmetric":
            return "orthogonal, symmetric" if plain else "identity"
    if not plain:
        return "normal, deviation 0.001"
    return f"Glorot uniform ±{math.sqrt(6 / (math.prod(shape[:-1]) + shape[-1])):.3g}"


def _constant(param: Param, spec: CellSpec) -> str:
    """A parameter's own start, with the name of its gate where it is not zero."""
    if isinstance(param.initial, tuple):
        low, high = param.initial
        return f"uniform ±{high:g}" if low == -high else f"uniform {low:g} to {high:g}"
    gate = spec.labels.get(param.name.rpartition("_")[2])
    return f"{param.initial:g} ({gate})" if param.initial and gate else f"{param.initial:g}"
