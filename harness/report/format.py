"""Figures and texts as people read them."""

import math
from collections.abc import Sequence

import pandas

from harness.text import one_line

MISSING = "–"
MARK = "†"  # beside a figure that others may have spoilt
EXACT = ("parity_loss", "parity_gradient")
KNOWN = ("parameters", "flops_per_sequence")  # counted, not measured
TIMED = ("throughput", "seconds", "flops_per_second", "fraction")  # what others on the same cores spoil
BYTES = (1024, ("B", "KiB", "MiB", "GiB", "TiB"))
COUNTS = (1000, ("", "", "M", "G", "T", "P"))  # up to a million every digit is shown
LONGEST = 2000  # characters of a cell


class Best(str):
    """The text of a figure that is better than all that it is compared with."""

    __slots__ = ()


def text(value: object) -> str:
    """Any value as one line that is fit for a table."""
    return MISSING if missing(value) else one_line(str(value), LONGEST)


def missing(value: object) -> bool:
    return value is None or value is pandas.NA or value != value


def timed(metric: str) -> bool:
    """Whether others on the same cores spoil it."""
    return any(word in metric for word in TIMED)


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
    certain = missing(deviation) or (deviation == 0 and metric in KNOWN)
    factor, unit = _unit(metric, abs(mean))
    pattern = _pattern(metric, mean / factor, scaled=bool(unit), certain=certain)
    values = [mean] if certain else [mean, deviation]
    return " ± ".join(format(value / factor, pattern) for value in values) + unit


def _unit(metric: str, size: float) -> tuple[float, str]:
    """What a figure is divided by, and what is written behind it."""
    base: int
    units: Sequence[str]
    if metric.endswith("_bytes"):
        base, units = BYTES
    elif metric in KNOWN or "flops_per_second" in metric:
        base, units = COUNTS
    else:
        return 1, ""
    if not math.isfinite(size):
        return 1, ""
    power = max(k for k in range(len(units)) if k == 0 or size >= base**k)
    return (float(base**power), f" {units[power]}") if units[power] else (1, "")


def _pattern(metric: str, value: float, *, scaled: bool, certain: bool) -> str:
    """The format of a number, by its metric and its size."""
    if metric in EXACT:
        return ".1e"
    if "accuracy" in metric or "fraction" in metric:
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
