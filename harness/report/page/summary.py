"""What the runs say, in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.format import MARK, UNSTEADY
from harness.report.grouping import grouped
from harness.report.page.estimates import (
    Lead,
    SeriesEstimate,
    accuracy_estimate,
    difference_of,
    ratio_of,
    throughput_estimate,
    verdicts,
    with_interval,
)
from harness.report.page.series import ComparableSet
from harness.store.record import RunRecord

MOST_CELLS = 6  # that get a sentence each
COMPARE = "python run.py -m backend=numpy,torch,keras cell=lstm,gru seed=0,1,2"


def counts(runs: Sequence[RunRecord]) -> str:
    """How many runs there are, and how they ended."""
    ended = Counter(run.status for run in runs)
    good = ended.pop("ok", 0)
    if len(runs) == 1:
        return "One run, which ended ok." if good else f"One run: {next(iter(ended))}."
    rest = ", ".join(f"{count:,} {status}" for status, count in ended.most_common())
    shared = sum(run.contended is True for run in runs)
    unsteady = sum(run.unsteady is True for run in runs)
    text = f"{len(runs):,} runs, {f'{good:,} of them ok; {rest}' if rest else 'all of them ok'}."
    text += f" {shared:,} shared their cores with others ({MARK})." if shared else ""
    return text + (f" {unsteady:,} trained at an unsteady speed ({UNSTEADY})." if unsteady else "")


def compared(sets: Sequence[ComparableSet]) -> ComparableSet | None:
    """The first set in which there is something to compare, or the first."""
    return next((one for one in sets if len(one.series) > 1), sets[0] if sets else None)


def summary_sentences(sets: Sequence[ComparableSet]) -> list[tuple[str, str]]:
    """(what, sentence) for the largest set: who is fastest, who is the most accurate, and whether that is
    more than noise."""
    largest = compared(sets)
    if largest is None:
        return [("Nothing to compare", f"No run ended ok. This makes some: {COMPARE}")]
    if len(largest.series) < 2:
        return [
            ("Nothing to compare", f"No two runs differ in more than their seed. This makes some: {COMPARE}")
        ]
    statements = [*_fastest(largest), *_most_accurate(largest)]
    found = verdicts([statement.lead for statement in statements])
    return [
        (statement.what, f"{statement.text}: {verdict}.{statement.rest}")
        for statement, verdict in zip(statements, found, strict=True)
    ]


@dataclass(frozen=True)
class Statement:
    """What a sentence is about, its text up to the verdict, and what follows it."""

    what: str
    text: str
    lead: Lead
    rest: str = ""


def _fastest(one: ComparableSet) -> list[Statement]:
    """For every cell the fastest contender; across cells where nobody else took part."""
    if len(one.contenders) == 1:
        rates = [throughput_estimate(series, "train_throughput", series.label) for series in one.series]
        return _ahead("Fastest to train", rates)
    statements = []
    for cell in sorted(one.cells, key=lambda cell: -sum(series.cell == cell for series in one.series)):
        same_cell = [series for series in one.series if series.cell == cell]
        rates = [
            throughput_estimate(
                series, "train_throughput", ", ".join(filter(None, (series.by, series.settings)))
            )
            for series in same_cell
        ]
        statements += _ahead(f"Fastest to train, {cell}", rates)
    return statements[:MOST_CELLS]


def _ahead(what: str, rates: Sequence[SeriesEstimate | None]) -> list[Statement]:
    """Who is first, by how much, and whether that is sure; nothing where there are not two."""
    order = sorted((rate for rate in rates if rate), key=lambda rate: -rate.value)
    if len(order) < 2:
        return []
    first, second = order[:2]
    lead = ratio_of(first, second)
    slowest = f" And {first.value / order[-1].value:.2f} times {order[-1].label}." if len(order) > 2 else ""
    text = f"{first.label} with {with_interval(first, 'sequences/s')}, {lead.text} {second.label}"
    return [Statement(what, text, lead, slowest)]


def _most_accurate(one: ComparableSet) -> list[Statement]:
    """Whoever computed them, runs of one cell with the same settings are runs of one seed or another. Of each
    cell the best settings; of a single cell all of them."""
    alike = grouped(one.series, lambda series: (series.cell, series.settings))
    made = [
        (cell, accuracy_estimate(", ".join(filter(None, (cell, settings))), series))
        for (cell, settings), series in alike.items()
    ]
    order = sorted(((cell, estimate) for cell, estimate in made if estimate), key=lambda each: -each[1].value)
    if len(one.cells) > 1:
        best: dict[str, SeriesEstimate] = {}
        for cell, estimate in order:
            best.setdefault(cell, estimate)
        order = list(best.items())
    if len(order) < 2:
        return []
    first, second = (estimate for _, estimate in order[:2])
    lead = difference_of(first, second)
    text = (
        f"{first.label} with {with_interval(first, 'of the test set', _accuracy)}, mean of {first.n} "
        f"seed{'s' * (first.n > 1)}, {lead.text} {second.label}"
    )
    return [Statement("Most accurate", text, lead)]


def _accuracy(value: float) -> str:
    return f"{value:.4f}"
