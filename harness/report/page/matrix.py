"""Every cell × backend × implementation: what was measured, what went wrong, what was not run, what there is
not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.config.matrix import Matrix, build_matrix
from harness.report.format import MARK, UNSTEADY, text
from harness.report.grouping import grouped
from harness.report.page.figures import format_number
from harness.report.page.series import ComparableSet, Series
from harness.store.record import RunRecord


@dataclass(frozen=True)
class Square:
    """One square: its `state` ("ok", "bad", "not run" or "not offered"), its lines, and more on hovering."""

    state: str
    lines: tuple[str, ...]
    more: str


@dataclass(frozen=True)
class ResultMatrix:
    """`columns` are (backend, implementation); `rows` (cell, its squares)."""

    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[Square]]]
    notes: list[str]


def result_matrix(runs: Sequence[RunRecord], sets: Sequence[ComparableSet]) -> ResultMatrix:
    """The grid of all runs. Figures of a square are those of one series, that with the most runs in the first
    set that it has runs of; where that is another set than the first, its number says which."""
    offer = build_matrix()
    place = {
        run.key: (n, k)
        for n, one in enumerate(sets)
        for k, series in enumerate(one.series)
        for run in series.runs
    }
    ran = grouped(runs, lambda run: (run.cell, run.backend, _implementation(run, offer)))
    columns = list(dict.fromkeys([*offer.columns, *((b, i) for _, b, i in ran)]))
    cells = sorted({*offer.rows.values(), *(cell for cell, _, _ in ran)})
    rows = []
    for cell in cells:
        squares = []
        for backend, implementation in columns:
            those = ran.get((cell, backend, implementation), [])
            offered = backend in offer.unavailable or (cell, backend, implementation) in offer.offered
            squares.append(
                _square(those, place, sets) if those else _empty(cell, backend, implementation, offered)
            )
        rows.append((cell, squares))
    used = sorted({place[run.key][0] for run in runs if run.key in place})
    notes = [f"{n + 1}: {sets[n].name}" for n in used] if len(used) > 1 else [sets[n].name for n in used]
    return ResultMatrix(columns, rows, notes)


def _implementation(run: RunRecord, offer: Matrix) -> str:
    """What ran, or for a run that did not get so far what would have."""
    if run.implementation != "auto":
        return run.implementation
    implementations = [implementation for backend, implementation in offer.columns if backend == run.backend]
    offered = [each for each in implementations if (run.cell, run.backend, each) in offer.offered]
    return next(iter([*offered, *implementations]), "auto")


def _square(
    runs: Sequence[RunRecord], place: dict[str, tuple[int, int]], sets: Sequence[ComparableSet]
) -> Square:
    good = [run for run in runs if run.key in place]
    bad = [run for run in runs if not run.ok]
    wrong = (
        [f"{len(bad)} {bad[0].status}" if len({r.status for r in bad}) == 1 else f"{len(bad)} not ok"]
        if bad
        else []
    )
    reasons = "; ".join(dict.fromkeys(f"{run.status}: {text(run.reason)}" for run in bad))
    if not good:
        reason = text(bad[0].reason)
        return Square("bad", (bad[0].status, reason if len(reason) <= 60 else reason[:59] + "…"), reasons)
    first = min(place[run.key] for run in good)[0]
    counts = Counter(place[run.key] for run in good if place[run.key][0] == first)
    which = max(sorted(counts), key=lambda at: counts[at])
    series = sets[first].series[which[1]]
    shown = [run for run in good if place[run.key] == which]
    accuracies = [run.test_accuracy for run in shown if run.test_accuracy is not None]
    rates = [run.train_throughput for run in shown if run.train_throughput is not None]
    mark = f" {MARK}" if any(run.contended for run in shown) else ""
    mark += f" {UNSTEADY}" if any(run.unsteady for run in shown) else ""
    lines = [
        f"{fmean(accuracies):.4f}" if accuracies else "no accuracy",
        f"{format_number(fmean(rates))}/s{mark}" if rates else "no training steps",
    ]
    others = len(good) - len(shown)
    what = _named(series) if others else ""
    more = [f"{len(shown)} run{'s' * (len(shown) > 1)}{f' of {what}' if what else ''}"]
    more += [f"{others} of other configurations or under other conditions"] if others else []
    more += [reasons] if reasons else []
    where = [series.settings] if series.settings else []
    where += [f"in {first + 1}"] if first else []
    return Square("ok", (*lines, *where, *wrong), "; ".join(more))


def _named(series: Series) -> str:
    return ", ".join(filter(None, (series.by, series.settings)))


def _empty(cell: str, backend: str, implementation: str, offered: bool) -> Square:
    if offered:
        command = f"python run.py cell={cell} backend={backend} backend.implementation={implementation}"
        return Square("not run", ("not run",), command)
    return Square("not offered", ("not offered",), f"{backend} has no {implementation} {cell}")
