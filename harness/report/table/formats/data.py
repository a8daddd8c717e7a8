"""Tables for other programs: one row per group, pivoted or not, and every figure to its last bit."""

import json as plain
import math
from typing import Any

import pandas

from harness.report.format import LONGEST, missing
from harness.report.frame import TableError
from harness.report.table.groups import Groups
from harness.text import one_line

# how a text begins that a spreadsheet would compute, the wide forms of East Asian keyboards included
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def csv(groups: Groups) -> str:
    """Groups, with the status `ok`, and below them each run that is not."""
    table = _whole(groups).map(_no_formula)
    return str(table.rename(columns=_no_formula).to_csv(index=False)).rstrip("\n")


def json(groups: Groups) -> str:
    """`rows` and `not_ok`; what is missing or not finite is null."""
    table = {"rows": _records(groups.table), "not_ok": _records(groups.not_ok)}
    return plain.dumps(table, indent=1, ensure_ascii=False, allow_nan=False)


def parquet(groups: Groups) -> bytes:
    """What `csv` gives, with types. Raises TableError where pyarrow is not installed."""
    table = _whole(groups).map(_line).rename(columns=_line)
    table = table.apply(lambda column: _uniform(column) if column.dtype == object else column)
    try:
        return bytes(table.to_parquet(engine="pyarrow", index=False))
    except ImportError as error:
        raise TableError(
            f"--format parquet: pyarrow cannot be imported here ({one_line(str(error))}); "
            "install it: pip install -c constraints.txt pyarrow"
        ) from error


def _whole(groups: Groups) -> pandas.DataFrame:
    """Groups and the runs that are not ok in one frame; whole numbers and flags stay what they are."""
    table = pandas.concat([groups.table.assign(status="ok"), groups.not_ok], ignore_index=True)
    counts = ("n", "n_contended", "n_unsteady", *(f"{metric}_n" for metric in groups.metrics))
    kinds = dict.fromkeys(counts, "Int64")
    kinds |= {f"{metric}_is_best": "boolean" for metric in groups.metrics} | {"seed": "Int64"}
    return table.astype(kinds)


def _records(table: pandas.DataFrame) -> list[dict[str, Any]]:
    return [{_line(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    if missing(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return _line(value)


def _line(value: Any) -> Any:
    return one_line(value, LONGEST) if isinstance(value, str) else value


def _no_formula(value: Any) -> Any:
    """A cell of a CSV file: one line, which no spreadsheet takes for something to compute."""
    line = _line(value)
    return f"'{line}" if isinstance(line, str) and line.startswith(FORMULA) else line


def _uniform(column: pandas.Series) -> pandas.Series:
    """A column of one type: as it is, or as text where it holds several."""
    kinds = {type(value) for value in column if not missing(value)}
    return column if len(kinds) < 2 else column.map(lambda value: None if missing(value) else str(value))
