"""Groups of runs and their figures, as every table format shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas

from harness.report.frame import METRIC, TableError, not_ok, split_by_settings
from harness.report.table import best
from harness.store.record import DETAIL, TARGETS

TARGET = "target"


@dataclass(frozen=True)
class Groups:
    """`table` is what `build` gives by `rows` and `columns`; `not_ok` the runs that are not `ok`.

    `rows` ends with the settings that differ between runs; `columns` is empty for a grouped table.
    `runs` are all runs, `untimed` counts those that measured no target, where targets are the figures.
    """

    runs: pandas.DataFrame
    rows: list[str]
    columns: list[str]
    metrics: list[str]
    table: pandas.DataFrame
    not_ok: pandas.DataFrame
    bold_note: str
    untimed: int = 0


def group(
    frame: pandas.DataFrame,
    by: Sequence[str],
    metrics: Sequence[str],
    *,
    columns: Sequence[str] = (),
    targets: bool = False,
) -> Groups:
    """Runs by the columns `by`, and across by `columns`; with `targets` the rows show the time to each
    target, and `metrics` is ignored.
    """
    not_ok_runs = not_ok(frame, [*by, *columns])
    runs, names = split_by_settings(frame, [*by, *columns])
    differing = names[len(by) + len(columns) :]
    rows, shown, untimed = [*by, *differing], runs, 0
    if targets:
        rows, metrics = [TARGET, *rows], TARGETS
        shown, untimed = by_target(runs)
    within = best.comparison_columns(rows, differing, columns)
    table = build(shown, [*rows, *columns], metrics, within=within)
    bold_note = best.bold_note(rows, differing, columns)
    return Groups(runs, rows, list(columns), list(metrics), table, not_ok_runs, bold_note, untimed)


def build(
    frame: pandas.DataFrame, by: Sequence[str], metrics: Sequence[str], *, within: Sequence[str] = ()
) -> pandas.DataFrame:
    """One row per group of the `ok` runs: for each metric its mean and standard deviation, and n.

    Columns: the names in `by`; for each metric `<metric>`, `<metric>_sd`, `<metric>_n` (runs that have it)
    and `<metric>_is_best` (see `harness.report.table.best`; figures are compared within equal values
    of the columns `within`); `n`, `n_contended`, how many runs shared their cores with others, and
    `n_unsteady`, how many are unsteady.
    The deviation is the sample's (n - 1), missing for a single run.
    """
    ok = frame[frame["status"] == "ok"].reset_index(drop=True)
    ids = ok.groupby(list(by), dropna=False, sort=True).ngroup()
    first = ok.loc[~ids.duplicated(), list(by)]
    table = first.set_axis(ids[first.index], axis=0).sort_index()
    sets = (
        table.groupby(list(within), dropna=False).ngroup() if within else pandas.Series(0, index=table.index)
    )
    n = ids.groupby(ids).size()
    contended, unsteady = (
        ok[name].eq(True).groupby(ids).sum().astype(int) for name in ("contended", "unsteady")
    )
    figures = {}
    for metric in metrics:
        runs = _numbers(ok, metric).groupby(ids)
        groups = pandas.DataFrame(
            {"mean": runs.mean(), "sd": runs.std(), "count": runs.count(), "n": n, "contended": contended}
        )
        ends = best.intervals(metric, groups)
        figures[metric] = groups["mean"]
        figures[f"{metric}_sd"] = groups["sd"]
        figures[f"{metric}_n"] = groups["count"]
        figures[f"{metric}_is_best"] = best.is_best(metric, groups["mean"], ends, sets)
    return table.assign(**figures, n=n, n_contended=contended, n_unsteady=unsteady).reset_index(drop=True)


def _numbers(ok: pandas.DataFrame, metric: str) -> pandas.Series:
    """The metric of each run, NaN where it is missing; raises TableError where it is not a number."""
    base, _, target = metric.partition(".")
    if metric in ok or not target:
        values = ok[metric]
    else:
        known = {key for entries in ok[base] if isinstance(entries, dict) for key in entries}
        if known and target not in known:
            raise TableError(
                f"{METRIC}: no run measured the target of {metric!r}; there are: {', '.join(sorted(known))}"
            )
        values = ok[base].map(lambda entries: entries.get(target) if isinstance(entries, dict) else None)
    numbers = pandas.to_numeric(values, errors="coerce").astype(float)
    if values.notna().any() and numbers.isna().all():
        raise TableError(f"{METRIC}: {metric!r} holds no numbers")
    return numbers


def by_target(frame: pandas.DataFrame) -> tuple[pandas.DataFrame, int]:
    """One row for each `ok` run and target that it measured, from the mappings of TARGETS; and the number
    of these runs that measured none."""
    ok = frame[frame["status"] == "ok"].drop(columns=list(DETAIL))
    entries = {name: [each if isinstance(each, dict) else {} for each in ok[name]] for name in TARGETS}
    measured = entries[TARGETS[0]]
    places = [(k, target) for k, each in enumerate(measured) for target in each]
    if measured and not places:
        raise TableError("--targets: no run that ended ok measured one; measure.targets=[0.97,0.98] does")
    long = ok.iloc[[k for k, _ in places]].reset_index(drop=True)
    for name in TARGETS:
        long[name] = [entries[name][k].get(target) for k, target in places]
    long[TARGET] = [target for _, target in places]
    return long, sum(not each for each in measured)
