"""Figures and texts as people read them."""

import math
from collections.abc import Sequence

import pandas

from harness.store.columns import BYTES, FLOPS, RELATIVE, SHARES, Column
from harness.store.record import column
from harness.text import one_line

MISSING = "–"
MARK = "†"  # beside a figure that others may have spoilt
UNSTEADY = "‡"  # beside the speed of a run whose fastest windows are much faster than its median
BINARY = (1024, ("B", "KiB", "MiB", "GiB", "TiB"))
DECIMAL = (1000, ("", "", "M", "G", "T", "P"))  # up to a million every digit is shown
LONGEST = 2000  # characters of a cell


class Best(str):
    """The text of a figure that is better than all that it is compared with."""

    __slots__ = ()


def text(value: object) -> str:
    """Any value as one line that is fit for a table."""
    return MISSING if missing(value) else one_line(str(value), LONGEST)


def missing(value: object) -> bool:
    return value is None or value is pandas.NA or value != value


def percent(target: object) -> str:
    """A target accuracy: `97 %`; anything else as it stands."""
    try:
        return f"{100 * float(str(target)):.4g} %"
    except ValueError:
        return text(target)


def figure(metric: str, mean: float, deviation: float = math.nan) -> str:
    """A figure in the digits and the unit that it deserves, `mean ± deviation` where there is one.

    The deviation has the decimals of its mean. Bytes are in KiB, MiB, …; a million FLOPs is 1.00 M.
    """
    if missing(mean):
        return MISSING
    described = column(metric)
    certain = missing(deviation) or (deviation == 0 and described.counted)
    factor, prefix = _scale(described, abs(mean))
    pattern = _pattern(described, mean / factor, scaled=bool(prefix), certain=certain)
    values = [mean] if certain else [mean, deviation]
    return " ± ".join(format(value / factor, pattern) for value in values) + prefix


def _scale(described: Column, size: float) -> tuple[float, str]:
    """What a figure is divided by, and the prefix or unit that is written behind it."""
    base: int
    prefixes: Sequence[str]
    if described.unit == BYTES:
        base, prefixes = BINARY
    elif described.counted or described.unit == FLOPS:
        base, prefixes = DECIMAL
    else:
        return 1, ""
    if not math.isfinite(size):
        return 1, ""
    power = max(k for k in range(len(prefixes)) if k == 0 or size >= base**k)
    return (float(base**power), f" {prefixes[power]}") if prefixes[power] else (1, "")


def _pattern(described: Column, value: float, *, scaled: bool, certain: bool) -> str:
    """The format of a number, by its unit and its size."""
    if described.unit == RELATIVE:
        return ".1e"
    if described.unit in SHARES:
        return ".4f"
    if scaled:
        return f",.{_decimals(value, 3)}f"
    if abs(value) >= 1000:
        return ",.0f"
    if certain or abs(value) < 1e-4:
        return ".4g"
    return f".{_decimals(value, 4)}f"


def _decimals(value: float, digits: int) -> int:
    """How many decimals show so many digits that count."""
    return max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else digits - 1
