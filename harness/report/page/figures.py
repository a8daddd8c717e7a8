"""What can be drawn, as data: lines, bars with intervals, shaded cells; and the figure they are part of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Axis:
    """Its title, whether it is logarithmic, and whether only whole numbers are on it."""

    title: str
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Curve:
    """Points (x, y) in the order in which they are joined. `key` decides its colour."""

    label: str
    key: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Lines:
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    levels: tuple[tuple[str, float], ...] = ()  # horizontal lines by name

    @property
    def keys(self) -> list[str]:
        return [curve.key for curve in self.curves]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads, and a row for every point and level."""
        rows = [[c.label, format_number(x), format_number(y)] for c in self.curves for x, y in c.points]
        rows += [[name, "–", format_number(y)] for name, y in self.levels]
        return ["", self.x.title, self.y.title], rows


@dataclass(frozen=True)
class Bar:
    """A value with its interval, where it has one, and other values that it is to be seen against."""

    label: str
    key: str
    value: float
    interval: tuple[float, float] | None = None
    against: tuple[float, ...] = ()


@dataclass(frozen=True)
class Bars:
    x: Axis
    bars: tuple[Bar, ...]
    against: tuple[str, ...] = ()  # what each bar's `against` are

    @property
    def keys(self) -> list[str]:
        return [bar.key for bar in self.bars]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads, and a row for every bar."""
        interval = any(bar.interval for bar in self.bars)
        heads = ["", self.x.title, *(["from", "to"] if interval else []), *self.against]
        rows = []
        for bar in self.bars:
            ends = [format_number(end) for end in bar.interval] if bar.interval else ["–", "–"]
            seen = [format_number(value) for value in bar.against]
            rows.append([bar.label, format_number(bar.value), *(ends if interval else []), *seen])
        return heads, rows


@dataclass(frozen=True)
class Cells:
    """Values by row and column, the larger the darker. `log` where ratios count; a cell that is None is
    not shaded; `texts` are written into the cells."""

    x: str
    y: str
    value: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    texts: tuple[tuple[str, ...], ...] | None = None
    log: bool = False

    @property
    def keys(self) -> list[str]:
        return []

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads, and the cells as they stand."""
        shown = self.texts or tuple(
            tuple("–" if v is None else format_number(v) for v in row) for row in self.values
        )
        return [f"{self.y} ↓ {self.x} →", *self.columns], [
            [name, *row] for name, row in zip(self.rows, shown, strict=True)
        ]


Chart = Lines | Bars | Cells


@dataclass(frozen=True)
class Panel:
    """A chart and what it is of."""

    title: str
    chart: Chart


@dataclass(frozen=True)
class Figure:
    """Panels under one heading: the `caption` says how to read them, the `notes` what follows from them;
    `command` makes the data where no run has it. `wide` panels need the whole width."""

    name: str
    title: str
    caption: str
    command: str
    panels: tuple[Panel, ...] = ()
    notes: tuple[str, ...] = ()
    wide: bool = False

    def keys(self, panel: Panel) -> list[str]:
        """What colours stand for, in a fixed order: the keys of all panels that share one with this."""
        own = set(panel.chart.keys)
        alike = [set(other.chart.keys) for other in self.panels if own & set(other.chart.keys)]
        return sorted(own.union(*alike))


def largest(items: Sequence[T], most: int, key: Callable[[T], float]) -> tuple[T, ...]:
    """So many of the items, those with the largest key, in the order in which all of them stand."""
    first = sorted(range(len(items)), key=lambda k: -key(items[k]))[:most]
    return tuple(items[k] for k in sorted(first))


def omission_note(count: int, shown: int, what: str) -> tuple[str, ...]:
    """What is said where not everything is shown."""
    if count <= shown:
        return ()
    return (f"{shown} of {count} {what} are shown; the table of runs has all, --where shows others.",)


def format_number(value: float) -> str:
    """Four digits that count, all of them before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def value_range(values: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest."""
    return min(values), max(values)
