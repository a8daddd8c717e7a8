"""Groups of runs and their figures: what every format of a table shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas

from harness.report.frame import METRIC, TableError, not_ok, split
from harness.report.table import best
from harness.store.record import DETAIL, TARGETS

TARGET = "target"


@dataclass(frozen=True)
class Groups:
    """`table` is what `build` gives by `rows` and `columns`; `rest` the runs that are not `ok`.

    `rows` ends with what else differs between runs; `columns` are empty for a table that is not pivoted.
    `runs` are all runs, `untimed` counts those that measured no target, where targets are the figures.
    """

    runs: pandas.DataFrame
    rows: list[str]
    columns: list[str]
    metrics: list[str]
    table: pandas.DataFrame
    rest: pandas.DataFrame
    rule: str
    untimed: int = 0


def group(
    frame: pandas.DataFrame,
    by: Sequence[str],
    metrics: Sequence[str],
    *,
    columns: Sequence[str] = (),
    targets: bool = False,
) -> Groups:
    """Runs by the columns `by`, and across by `columns`; with `targets` the time to each target is what is
    shown, in rows of its own, and `metrics` is not looked at.
    """
    rest = not_ok(frame, [*by, *columns])
    runs, names = split(frame, [*by, *columns])
    apart = names[len(by) + len(columns) :]
    rows, shown, untimed = [*by, *apart], runs, 0
    if targets:
        rows, metrics = [TARGET, *rows], TARGETS
        shown, untimed = by_target(runs)
    alike = best.alike(rows, apart, columns)
    table = build(shown, [*rows, *columns], metrics, alike=alike)
    rule = best.rule(rows, apart, columns)
    return Groups(runs, rows, list(columns), list(metrics), table, rest, rule, untimed)


def build(
    frame: pandas.DataFrame, by: Sequence[str], metrics: Sequence[str], *, alike: Sequence[str] = ()
) -> pandas.DataFrame:
    """One row per group of the `ok` runs: for each metric its mean and standard deviation, and n.

    Columns: the names in `by`; for each metric `<metric>`, `<metric>_sd`, `<metric>_n` (runs that have it)
    and `<metric>_best` (see `harness.report.table.best`; figures are compared that agree in the columns
    `alike`); `n` and `n_contended`, how many runs shared their cores with others. The deviation is the
    sample's (n - 1), missing for a single run.
    """
    good = frame[frame["status"] == "ok"].reset_index(drop=True)
    ids = good.groupby(list(by), dropna=False, sort=True).ngroup()
    first = good.loc[~ids.duplicated(), list(by)]
    table = first.set_axis(ids[first.index], axis=0).sort_index()
    sets = table.groupby(list(alike), dropna=False).ngroup() if alike else pandas.Series(0, index=table.index)
    n = ids.groupby(ids).size()
    contended = good["contended"].eq(True).groupby(ids).sum().astype(int)
    found = {}
    for metric in metrics:
        runs = _numbers(good, metric).groupby(ids)
        groups = pandas.DataFrame(
            {"mean": runs.mean(), "sd": runs.std(), "count": runs.count(), "n": n, "contended": contended}
        )
        ends = best.intervals(metric, good, ids, groups)
        found[metric] = groups["mean"]
        found[f"{metric}_sd"] = groups["sd"]
        found[f"{metric}_n"] = groups["count"]
        found[f"{metric}_best"] = best.marked(metric, groups["mean"], ends, sets)
    return table.assign(**found, n=n, n_contended=contended).reset_index(drop=True)


def _numbers(good: pandas.DataFrame, metric: str) -> pandas.Series:
    """The figure of each run, NaN where it has none; raises TableError for what is no figure."""
    base, _, target = metric.partition(".")
    if metric in good or not target:
        values = good[metric]
    else:
        known = {key for found in good[base] if isinstance(found, dict) for key in found}
        if known and target not in known:
            raise TableError(
                f"{METRIC}: no run measured the target of {metric!r}; there are: {', '.join(sorted(known))}"
            )
        values = good[base].map(lambda found: found.get(target) if isinstance(found, dict) else None)
    numbers = pandas.to_numeric(values, errors="coerce").astype(float)
    if values.notna().any() and numbers.isna().all():
        raise TableError(f"{METRIC}: {metric!r} holds no numbers")
    return numbers


def by_target(frame: pandas.DataFrame) -> tuple[pandas.DataFrame, int]:
    """One row for each `ok` run and target that it measured, the mappings of TARGETS taken apart; and how
    many of these runs measured none."""
    good = frame[frame["status"] == "ok"].drop(columns=list(DETAIL))
    found = {name: [each if isinstance(each, dict) else {} for each in good[name]] for name in TARGETS}
    measured = found[TARGETS[0]]
    places = [(k, target) for k, each in enumerate(measured) for target in each]
    if measured and not places:
        raise TableError("--targets: no run that ended ok measured one; measure.targets=[0.97,0.98] does")
    long = good.iloc[[k for k, _ in places]].reset_index(drop=True)
    for name in TARGETS:
        long[name] = [found[name][k].get(target) for k, target in places]
    long[TARGET] = [target for _, target in places]
    return long, sum(not each for each in measured)
