"""How the frameworks store a model's weights: every array, and what lies where in it."""

import math
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from rich.console import RenderableType
from rich.text import Text

from harness.commands.describe.columns import LETTERS, Row, columns, head
from harness.commands.describe.packing import StoredArray, place, stored_arrays
from harness.commands.describe.parameters import BlockGroup, block_groups, sizes
from harness.config.catalogue import backend_names
from harness.errors import Unavailable
from harness.model.network import ModelSpec

MAX_PACKED = 30_000_000  # numbers of one layer and direction that are packed to see where they go


def frameworks() -> list[ModuleType]:
    """The `plain_model.py` of every backend that has one, see `harness.backends.plain_model`."""
    names = [f"harness.backends.{name}.plain_model" for name in backend_names()]
    return [import_module(name) for name in names if find_spec(name)]


def section(framework: ModuleType, model: ModelSpec) -> list[RenderableType]:
    title = head(f"HOW {framework.TITLE.upper()} STORES THEM")
    try:
        cell = framework.load_cell(model.cell)
    except Unavailable as error:
        return [title, Text(f"{error}.")]
    rows: list[Row | Text] = []
    redundant = 0
    for group in block_groups(model):
        own = sum(math.prod(shape) for _, shape in group.params(model).values())
        if own > MAX_PACKED:
            rows.append(Text(f"{group.title}: {own:,} numbers are too many to look where each one goes;"))
            rows.append(Text("the order is the same with a smaller cell.hidden."))
            continue
        stored = arrays(framework, cell, model, group)
        redundant += sum(array.redundant for array in stored)
        count = f": {sum(array.size for array in stored):,} numbers"
        rows.append(Text.assemble((group.title, "bold"), count, _endings(framework, model, group)))
        order = gates(stored, model)
        if order:
            rows.append(Text(order))
        for array in stored:
            rows += _lines(array)
        rows.append(Text())
    rows.append(Text(f"readout, in {framework.READOUT_LAYER}", style="bold"))
    for array in readout(framework, model):
        rows += _lines(array)
    parts = [title, Text(_layer(framework, model)), Text(), *columns(rows, wrap=4)]
    if redundant:
        parts += [Text(), Text(REDUNDANT, style="dim")]
    if model.learned_states():
        names = ", ".join(f"initial_{name}" for name in model.learned_states())
        call = f"what `{framework.INITIAL_STATE}` of the call takes, for every sequence of the batch"
        parts += [Text(), Text(f"{names}: no layer stores them; they are {call}.")]
    return parts


REDUNDANT = (
    "Redundant numbers are added to others that are trained already. Here they are zero and stay zero; they "
    "are no parameters of the model. In a plain layer both are trained, and their sum is what counts."
)


def arrays(framework: ModuleType, cell: ModuleType, model: ModelSpec, group: BlockGroup) -> list[StoredArray]:
    """What a framework stores for the first layer and direction of a group, under its own names where it
    has a layer of its own for the cell."""
    own = {param.name for param in model.spec.params}
    params = {name: (p.shape, shape) for name, (p, shape) in group.params(model).items() if name in own}
    return stored_arrays(lambda w: framework.layer_arrays(cell, model, group.prefixes[0], w), params)


def gates(stored: list[StoredArray], model: ModelSpec) -> str:
    """In which order the gates of an array lie, and which way; "" where no array holds several."""
    for array in stored:
        pieces = [piece for piece in array.pieces if piece.source]
        order = [str(piece.source)[-1] for piece in pieces]
        if len(order) > 1 and len(array.shape) > 1 and set(order) <= set(model.spec.gates):
            below = pieces[0].box[0] != pieces[1].box[0]
            return f"Gates {', '.join(order)}, {'one below the other' if below else 'side by side'}:"
    return ""


def readout(framework: ModuleType, model: ModelSpec) -> list[StoredArray]:
    """What a framework's linear layer stores of the readout."""
    params = {name: (p.shape, shape) for name, (p, shape) in model.params().items()}
    linear = {name: shapes for name, shapes in params.items() if name.startswith("readout.")}
    return stored_arrays(framework.readout_arrays, linear)


def _endings(framework: ModuleType, model: ModelSpec, group: BlockGroup) -> str:
    """What the names of a group's arrays end in, one member after the other."""
    suffixes = framework.suffixes(model, group.prefixes)
    if len(suffixes) < 2:
        return ""
    return f", in {', '.join(suffixes) if len(suffixes) <= 4 else f'{suffixes[0]} … {suffixes[-1]}'}"


def _layer(framework: ModuleType, model: ModelSpec) -> str:
    """The framework's own layer as it is written, or that there is none."""
    if model.cell in framework.LAYERS:
        return str(framework.layer_code(model))
    none = f"{framework.TITLE} has no recurrent layer that computes this cell"
    return f"{none}; these are the arrays of the one written here."


def _lines(array: StoredArray) -> list[Row | Text]:
    """An array's name and shape, and a line for each of its pieces."""
    rows: list[Row | Text] = []
    for number, piece in enumerate(array.pieces):
        name, shape = (array.name, sizes(array.shape)) if number == 0 else ("", "")
        what = Text("redundant", style="dim") if piece.source is None else Text(piece.source, style=LETTERS)
        rows.append([f"  {name}", shape, place(piece.box, array.shape) or "all of it", what, piece.moved])
    return rows
