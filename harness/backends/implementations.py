"""Which implementations a cell has, from the functions in its file: no framework is imported."""

import ast
from collections.abc import Sequence
from pathlib import Path

from harness.errors import Unavailable

# implementation -> functions of which a cell's file needs one
FUNCTIONS = {
    "fused": {"fused_layer", "fused_sequence"},
    "loop": {"step", "sequence"},
    "compiled": {"step", "sequence"},
    "scan": {"scan"},
}


def implementations_in(cells: Path, cell: str) -> tuple[str, ...]:
    """The implementations that `<cells>/<cell>.py` has the functions for; () where there is no such file."""
    path = cells / f"{cell}.py"
    if not path.exists():
        return ()
    body = ast.parse(path.read_text("utf-8")).body
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    functions |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return tuple(name for name, needed in FUNCTIONS.items() if functions & needed)


def resolve_implementation(backend: str, cell: str, implementation: str, offered: Sequence[str]) -> str:
    """The implementation that runs, for "auto" the first one offered. Raises Unavailable for any other."""
    if not offered:
        raise Unavailable(f"{backend} has no {cell}")
    if implementation not in ("auto", *offered):
        raise Unavailable(f"{backend} has no {implementation} {cell}; it has: {', '.join(offered)}")
    return offered[0] if implementation == "auto" else implementation
