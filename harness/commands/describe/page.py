"""A cell explained: its equations, every shape on the way of a batch, every weight, and how it is stored.

Legend: see `harness.model.cell`; B sequences of a batch.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TextIO

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.text import Text

from harness.commands.describe import parameters, storage
from harness.commands.describe.columns import LETTERS, Row, columns, head
from harness.commands.describe.parameters import letter
from harness.model.cell import Param
from harness.model.network import ModelSpec
from harness.model.precision import held_in

WIDTH = 80  # of plain text
WIDEST = 100  # on a terminal


@dataclass(frozen=True)
class DescribedModel:
    """What is described: a model, how its weights start, in which precision they are held, and the steps of a
    chunk in training."""

    model: ModelSpec
    scheme: str
    precision: str
    truncate: int | None = None


def select_model(overrides: Sequence[str]) -> DescribedModel:
    """The model that `python run.py *overrides` would run; raises ConfigError, and DataError for a
    person's own file that says no shape."""
    from harness.config.dataset import shape_of
    from harness.launcher.preflight import checked_configuration

    config = checked_configuration(overrides)
    model = config.model_spec(shape_of(config))
    return DescribedModel(model, config.init, config.precision, config.train.truncate)


def show(described: DescribedModel, out: TextIO | None = None) -> None:
    """Prints the whole explanation: with colours on a terminal, else as plain text of 80 columns."""
    out = out or sys.stdout
    console = Console(file=out, highlight=False)
    if console.is_terminal:
        console.width = min(console.width, WIDEST)
        console.print(page(described))
        return
    text = StringIO()
    Console(file=text, width=WIDTH, highlight=False, color_system=None).print(page(described))
    out.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


def page(described: DescribedModel) -> Group:
    """All sections, one below the other."""
    model = described.model
    sections = (
        _title(model),
        _way(model),
        parameters.section(model, described.scheme),
        *(storage.section(framework, model) for framework in storage.frameworks()),
        _cost(described),
    )
    return Group(*(part for section in sections for part in (*section, Text())))


def _title(model: ModelSpec) -> list[RenderableType]:
    spec = model.spec
    options = "".join(f" cell.{key}={value}" for key, value in model.options.items())
    equations: list[Row | Text] = [
        [Text(f"  {line}", style=LETTERS), Text(spec.labels.get(line.partition("_t =")[0], ""), style="dim")]
        for line in spec.equations.splitlines()
    ]
    return [
        Text(spec.title, style="bold"),
        Text(f"cell={model.cell}{options}", style="dim"),
        Text(),
        *columns(equations, wrap=1),
        Text(),
        Text("Vectors are rows; σ is the logistic function, ∘ multiplies element by element.", style="dim"),
        Text(),
        Text(f"{spec.paper}."),
        *([Text(f"Variant: {spec.variant}".replace("`", ""))] if spec.variant else []),
    ]


def _way(model: ModelSpec) -> list[RenderableType]:
    """The shapes of a batch on its way through the model."""
    rows: list[Row | Text] = []

    def row(what: str, *axes: tuple[str, int] | str) -> None:
        named = [axis if isinstance(axis, tuple) else (axis, axis) for axis in axes]
        letters, sizes = (", ".join(str(axis[k]) for axis in named) for k in (0, 1))
        rows.append([what, Text(f"({letters})", style=LETTERS), f"({sizes})"])

    T = ("T", model.steps)
    spec, H = model.spec, ("H", model.hidden)
    width = (letter("DH", model), model.width)
    row("inputs x", "B", T, ("I", model.features))
    for layer in range(model.layers):
        features = model.layer_features(layer)
        both = " and ".join(model.directions) + (", each" if model.bidirectional else "")
        rows.append(Text(f"layer {layer}, {both}", style="bold"))
        seen = projections(model)
        if seen:
            steps = [] if all(param.applied == "once" for param in seen) else [T]
            G = f"{len(seen)}·H" if len(seen) > 1 else "H"
            row(
                f"  {', '.join(_product(param) for param in seen)}: projected",
                "B",
                *steps,
                (G, len(seen) * model.hidden),
            )
        for state in spec.state:
            start = "its start is learned" if state.name in model.learned_states() else "starts at 0"
            size = model.state_sizes(features)[state.name]
            row(f"  state {state.name}, carried on; {start}", "B", (state.size, size))
        row(
            "  output" if spec.single_output else "  outputs, one a step",
            "B",
            ("1", 1) if spec.single_output else T,
            H,
        )
        if model.bidirectional:
            row("  both side by side, forward first", "B", T, width)
        if model.dropout and layer < model.layers - 1:
            rows.append(Text(f"  {model.dropout:.0%} of them are set to zero in training (dropout)"))
    rows.append(Text(f"readout {model.readout}", style="bold"))
    if model.readout == "attention":
        row("  scores v · tanh(y_t W + b), then softmax over t", "B", T)
    row(f"  {FEATURES[model.readout][model.bidirectional]}", "B", width)
    row("logits", "B", ("C", model.classes))
    return [head("SHAPES ON THE WAY OF A BATCH"), _legend(model), Text(), *columns(rows, wrap=0)]


FEATURES = {
    "last": ("the output after the last step", "what each direction gave after its own whole pass"),
    "mean": ("mean of the outputs over t",) * 2,
    "max": ("largest of the outputs over t",) * 2,
    "attention": ("sum of the outputs, weighted by it",) * 2,
}


def _legend(model: ModelSpec) -> Text:
    words = [
        "B sequences at once",
        f"T = {model.steps} time steps",
        f"I = {model.features} inputs per step",
        f"H = {model.hidden:,} hidden units",
        f"C = {model.classes} classes",
    ]
    if model.bidirectional:
        words.append("D = 2 directions")
    if "taps" in model.options:
        words.append(f"K = {model.options['taps']} taps")
    if model.readout == "attention":
        words.append(f"A = {model.hidden:,} units of the attention")
    return Text(", ".join(words) + ".", style="dim")


def projections(model: ModelSpec) -> list[Param]:
    """The parameters that an input is multiplied by to give hidden units."""
    return [p for p in model.spec.params if p.shape[-2:] == ("I", "H")]


def _product(param: Param) -> str:
    """`x_t W_xi`, or with a sum over the taps or steps that the parameter has of its own."""
    return f"x_t {param.name}" if len(param.shape) == 2 else f"Σ x {param.name}[{param.shape[0].lower()}]"


def _cost(described: DescribedModel) -> list[RenderableType]:
    """Arithmetic and memory of one sequence."""
    model = described.model
    kind = held_in(described.precision)
    size = np.dtype(kind).itemsize
    held = sum(math.prod(shape) for shape in model.shapes().values())
    carried = sum(model.states().values())
    flops, training = model.flops_per_sequence, model.training_flops_per_sequence(described.truncate)
    lines = [
        ("forward", f"{flops:,} FLOPs", "two for each multiply-add of the matrix products"),
        ("training", f"{training:,} FLOPs", "forward and backward; the data needs no gradient"),
        ("weights", f"{held * size:,} bytes", f"{held:,} numbers in {kind}"),
        ("state", f"{carried * size:,} bytes", f"{carried:,} numbers carried from step to step"),
    ]
    if not all(param.trained for param in model.spec.params):
        del lines[1]  # it depends on how the readout is solved for
    rows: list[Row | Text] = [[what, Text(cost, justify="right"), why] for what, cost, why in lines]
    return [head("WHAT ONE SEQUENCE COSTS"), *columns(rows, wrap=2)]
