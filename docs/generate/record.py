"""The schema of a record: every column with its unit, which way it is better, and its meaning."""

from dataclasses import Field, fields
from typing import Any, get_args

from docs.generate.markdown import table
from harness.store.record import DETAIL, RunRecord
from harness.store.statuses import STATUSES


def statuses() -> str:
    """How a run can end."""
    return table(("status", "meaning"), ((f"`{name}`", meaning) for name, meaning in STATUSES.items()))


def columns() -> str:
    """The columns of a table or DataFrame, then the mappings that only the document has whole."""
    flat = (f for f in fields(RunRecord) if f.name not in DETAIL)
    whole = (f for f in fields(RunRecord) if f.name in DETAIL)
    head = ("column", "type", "unit", "better", "meaning")
    return table(head, map(_row, flat)) + "\nThe rest is mappings:\n\n" + table(head, map(_row, whole))


def _row(f: "Field[Any]") -> tuple[str, str, str, str, str]:
    column = f.metadata["column"]
    return f"`{f.name}`", _type(f.type), column.unit, column.better, column.description


def _type(hint: Any) -> str:
    """As JSON calls it; what may be null says so."""
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
    parts = [part for part in get_args(hint) or (hint,) if part is not type(None)]
    if not isinstance(hint, type) and len(parts) < len(get_args(hint)):
        return f"{_type(parts[0])} or null"
    return names.get(hint) or ("list" if getattr(hint, "__origin__", hint) is list else "mapping")
