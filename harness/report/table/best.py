"""Which figure of a table is the best, marked only where the difference is more than noise.

A group's figure has a 95 % interval of the mean, by Student's t, over three runs or more that all have the
figure and do not all have the same. It has none for one run, whose own windows do not show how runs differ,
nor for two, nor for a timing that others may have spoilt. The best is marked where its interval overlaps with
that of no figure that it is compared with. Nothing is marked where one of these has no interval, or where
there is nothing to compare with; nor among figures of the fastest windows, which grow with their number.
"""

from collections.abc import Sequence

import numpy as np
import pandas

from harness.measure.statistics import student_t
from harness.store.columns import RELATIVE
from harness.store.record import column

MIN_RUNS = 3  # runs for an interval of their mean
TASK = ("data", "sequence", "target")  # figures of different tasks are not compared


def direction(metric: str) -> int:
    """1 where more is better, -1 where less is, 0 where none is the best: a parity distance is rounding
    noise, and of more windows the fastest are faster."""
    described = column(metric)
    if described.unit == RELATIVE or described.of_fastest:
        return 0
    return {"more": 1, "less": -1, "": 0}[described.better]


def intervals(metric: str, groups: pandas.DataFrame) -> pandas.DataFrame:
    """`low` and `high` of each group's figure, NaN where there are none. `groups` has `mean`, `sd`, `count`
    (runs with the figure), `n` and `contended` of each."""
    mean, sd, n = groups["mean"], groups["sd"], groups["n"]
    several = (n >= MIN_RUNS) & (groups["count"] == n) & (sd > 1e-12 * mean.abs())
    half = (student_t(n - 1.0) * sd / np.sqrt(n)).where(several)
    half = half.mask((groups["contended"] > 0) & column(metric).timed)
    return pandas.DataFrame({"low": mean - half, "high": mean + half})


def is_best(metric: str, mean: pandas.Series, ends: pandas.DataFrame, sets: pandas.Series) -> pandas.Series:
    """Whether each figure is the best of its set, by the rule above."""
    best, sign = pandas.Series(False, index=mean.index), direction(metric)
    if sign == 0:
        return best
    near, far = (ends["low"], ends["high"]) if sign > 0 else (-ends["high"], -ends["low"])
    for _, rivals in (sign * mean.dropna()).groupby(sets):
        if len(rivals) > 1:
            first = rivals.index == rivals.idxmax()
            top, others = rivals.index[first], rivals.index[~first]
            best[top] = near[top] > far[others].max(skipna=False)
    return best


def comparison_columns(rows: Sequence[str], differing: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The columns whose values must be equal for figures to be compared.

    Those of a grouped table are compared down a column of figures, those of a pivoted one along its rows, or
    down its columns where these are tasks. `differing` are the other settings in which runs differ.
    """
    tasks = [name for name in (*rows, *columns) if _task(name)]
    row_columns = [] if all(_task(name) for name in columns) else rows
    return list(dict.fromkeys([*differing, *row_columns, *tasks]))


def bold_note(rows: Sequence[str], differing: Sequence[str], columns: Sequence[str]) -> str:
    """The note below a table with a bold figure: what it was compared with."""
    along = not all(_task(name) for name in columns)
    fixed = [
        name
        for name in comparison_columns(rows, differing, columns)
        if name not in (rows if along else columns)
    ]
    same = f" with the same {' and '.join(fixed)}" if fixed else ""
    return (
        f"Bold: the best of its {'row' if along else 'column'}{same}, where its 95 % interval lies apart "
        "from all others' (Student's t over three runs or more)."
    )


def _task(name: str) -> bool:
    return name in TASK or name.startswith(tuple(f"{task}." for task in TASK))
