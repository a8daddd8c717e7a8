"""What is on a page with a table: heads, rows of texts, and notes below. No format is known here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas

from harness.report.format import MARK, MISSING, UNSTEADY, Best, figure, percent, text
from harness.report.frame import installed_versions
from harness.report.table.groups import TARGET, Groups
from harness.store.record import column


@dataclass(frozen=True)
class Grid:
    """Heads and rows of texts, the first `left` columns to the left; the first `keys` name their row.

    `over` is what the other columns show, "" where their heads say it.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int
    keys: int
    over: str = ""


@dataclass(frozen=True)
class Page:
    """Grids of figures, notes on them, the runs that are not `ok` and on what all was measured."""

    grids: Sequence[Grid]
    notes: Sequence[str]
    rest: Grid | None
    provenance: str


def page(groups: Groups) -> Page:
    """A grid for all metrics, or, where the table is pivoted, one for each."""
    notes: list[str] = []
    grids: list[Grid] = []
    if groups.columns:
        grids, notes = _pivoted(groups)
    elif len(groups.table):
        grids = [_grouped(groups)]
    if any(groups.table[f"{metric}_is_best"].any() for metric in groups.metrics):
        notes.insert(0, groups.bold_note)
    notes += filter(None, [_shared(groups), _unsteady(groups), _untimed(groups)])
    rest = None
    if len(groups.not_ok):
        rows = [[text(value) for value in row] for row in groups.not_ok.itertuples(index=False)]
        heads = [text(name) for name in groups.not_ok]
        rest = Grid(heads, rows, len(heads), len(heads) - 2)  # status and reason name nothing
    return Page(grids, notes, rest, provenance(groups.runs) if len(groups.table) else "")


def _grouped(groups: Groups) -> Grid:
    """One row per group."""
    timing = groups.rows[0] == TARGET
    rows = []
    for row in _rows(groups.table):
        cells = [_cell(row, metric, counted=not timing) for metric in groups.metrics]
        n = f"{row[f'{groups.metrics[0]}_n']} of {row['n']}" if timing else str(row["n"])
        rows.append([*(_value(name, row[name]) for name in groups.rows), *cells, n])
    heads = [text(name) for name in (*groups.rows, *groups.metrics)]
    return Grid([*heads, "reached" if timing else "n"], rows, len(groups.rows), len(groups.rows))


def _pivoted(groups: Groups) -> tuple[list[Grid], list[str]]:
    """One grid per metric, and how many runs its figures are of. Where no run is `ok` the cell is – and
    what became of those that are not."""
    names = [*groups.rows, *groups.columns]
    table, lost = groups.table, _lost(groups)
    places = pandas.concat([table[names], lost[names]], ignore_index=True)
    rows, columns = (
        places.groupby(side, dropna=False, sort=True).ngroup() for side in (groups.rows, groups.columns)
    )
    at = list(zip(rows, columns, strict=True))
    ok = dict(zip(at, _rows(table), strict=False))
    statuses: dict[tuple[int, int], Counter[str]] = {}
    for place, status in zip(at[len(table) :], lost["status"], strict=True):
        statuses.setdefault(place, Counter())[status] += 1
    usual_n = Counter(table["n"]).most_common(1)[0][0] if len(table) else 0
    sides = [_named(places, rows, groups.rows), _named(places, columns, groups.columns)]
    heads = [*map(text, groups.rows), *(", ".join(side) for side in sides[1])]
    grids = []
    for metric in groups.metrics:
        drawn = [
            [
                *side,
                *(
                    _square(ok.get((k, j)), statuses.get((k, j)), metric, usual_n)
                    for j in range(len(sides[1]))
                ),
            ]
            for k, side in enumerate(sides[0])
        ]
        over = f"{text(metric)} by {', '.join(map(text, groups.columns))}"
        grids.append(Grid(heads, drawn, len(groups.rows), len(groups.rows), over))
    unless = " unless a figure says otherwise" if table["n"].nunique() > 1 else ""
    return grids, [f"n = {usual_n}{unless}."] if len(table) else []


def _lost(groups: Groups) -> pandas.DataFrame:
    """The runs that are not `ok`, where they would stand; in a table of targets at each of these."""
    lost = groups.runs[groups.runs["status"] != "ok"]
    if groups.rows[0] == TARGET:
        lost = lost.merge(groups.table[[TARGET]].drop_duplicates(), how="cross")
    return lost[[*groups.rows, *groups.columns, "status"]]


def _named(places: pandas.DataFrame, ids: pandas.Series, names: Sequence[str]) -> list[list[str]]:
    """The texts of each row or column, by its number."""
    first = places.loc[~ids.duplicated()]
    order = ids[first.index].argsort()
    return [[_value(name, row[name]) for name in names] for row in _rows(first.iloc[order.to_numpy()])]


def _square(row: Mapping[str, Any] | None, statuses: Counter[str] | None, metric: str, usual_n: int) -> str:
    """What stands in a cell of a pivoted table."""
    if row is None:
        return MISSING + (
            f" ({', '.join(f'{n} {status}' for status, n in statuses.items())})" if statuses else ""
        )
    cell = _cell(row, metric, counted=True)
    if not row[f"{metric}_n"]:
        return f"{cell} (0 of {row['n']})"
    other = row["n"] != usual_n and row[f"{metric}_n"] == row["n"]
    return type(cell)(f"{cell} (n = {row['n']})") if other else cell


def _cell(row: Mapping[str, Any], metric: str, *, counted: bool) -> str:
    """`mean ± deviation`; how many runs have it where not all do, marks where others may have spoilt it and
    where it is unsteady."""
    cell = figure(metric, row[metric], row[f"{metric}_sd"])
    count, n = row[f"{metric}_n"], row["n"]
    if counted and 0 < count < n:
        cell += f" ({count} of {n})"
    if count and row["n_contended"] and column(metric).timed:
        cell += f" {MARK}"
    if count and row["n_unsteady"] and column(metric).of_windows:
        cell += f" {UNSTEADY}"
    return Best(cell) if row[f"{metric}_is_best"] else cell


def _rows(table: pandas.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _value(name: str, value: object) -> str:
    return percent(value) if name == TARGET else text(value)


def _shared(groups: Groups) -> str:
    """The note on figures that are marked; "" where none is."""
    runs = groups.runs[groups.runs["status"] == "ok"]
    contended = int(runs["contended"].eq(True).sum())
    if not contended or not any(column(metric).timed for metric in groups.metrics):
        return ""
    return f"{MARK} {contended} of {len(runs)} runs without the cores to itself: do not trust the timing."


def _unsteady(groups: Groups) -> str:
    """The note on figures of unsteady runs; "" where there is none."""
    runs = groups.runs[groups.runs["status"] == "ok"]
    unsteady = int(runs["unsteady"].eq(True).sum())
    if not unsteady or not any(column(metric).of_windows for metric in groups.metrics):
        return ""
    return (
        f"{UNSTEADY} {unsteady} of {len(runs)} runs unsteady: the fastest windows (train_throughput_best) "
        "are more than 10 % above the median (train_throughput)."
    )


def _untimed(groups: Groups) -> str:
    return f"{groups.untimed} of the ok runs measured no target." if groups.untimed else ""


def provenance(frame: pandas.DataFrame) -> str:
    """On what and with what the `ok` runs were measured."""
    ok_runs = frame[frame["status"] == "ok"]
    pairs = zip(ok_runs["device_name"], ok_runs["threads"], strict=True)
    devices = dict.fromkeys(f"{text(name)}, {threads} threads" for name, threads in pairs)
    versions = ", ".join(
        f"{name} {' and '.join(sorted(each))}" for name, each in installed_versions(ok_runs).items()
    )
    return f"Measured on {'; '.join(devices)}. Versions: {versions}."
