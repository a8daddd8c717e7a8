"""Compares two sides: the effect, its interval, the verdict, and the reasons against comparing them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.errors import CompareError
from harness.measure.bootstrap import ResampledRun, Stratum, estimate_difference
from harness.measure.statistics import LEVEL, holm
from harness.report.compare import order, windows
from harness.report.compare.pairing import Pair, pair
from harness.report.compare.sides import RunSelection
from harness.report.frame import installed_versions
from harness.report.grouping import grouped
from harness.report.metrics import Metric

CANNOT_TELL = "cannot tell"
ROUNDOFF = 1e-12
SEED = 0  # of the resampling: the same runs give the same interval


@dataclass(frozen=True)
class Effect:
    """The ratio of the first side to the second, or their difference, with its 95 % interval.

    `over` and `p_value` are those of `DifferenceEstimate`; for one of several configurations it is Holm's
    adjusted p-value. `a` and `b` are means over runs (geometric ones for a ratio), `runs` is the number of
    runs of each side.
    """

    label: str
    a: float
    b: float
    runs: tuple[int, int]
    estimate: float
    low: float
    high: float
    p_value: float
    over: str
    paired: bool  # by seed
    verdict: str
    why: str = ""  # it cannot be told


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison: `parts` has one entry per configuration, `alone` what is left out,
    `warnings` what would have stood against it without `--force`, `remarks` how to read it."""

    a: str
    b: str
    metric: Metric
    overall: Effect
    parts: list[Effect]
    alone: list[str]
    notes: list[str]
    warnings: list[str]
    remarks: list[str]


def compare(a: RunSelection, b: RunSelection, metric: Metric, *, force: bool = False) -> Comparison:
    """Raises CompareError where there is nothing to compare, and, unless it is forced, where that would be
    wrong."""
    left, left_out, against = _usable(a, metric)
    right, right_out, more = _usable(b, metric)
    pairs = pair(left, right, metric)
    against = [*pairs.against, *against, *more]
    rows_a = [row for each in pairs.pairs for run in each.a for row in run]
    rows_b = [row for each in pairs.pairs for run in each.b for row in run]
    if metric.column.timed:
        against += [*_contended(left, rows_a), *_contended(right, rows_b)]
    if against and not force:
        raise CompareError(
            "\n".join([*(f"not comparable: {reason}" for reason in against), "--force shows it all the same"])
        )
    rng = np.random.default_rng(SEED)
    raw = [windows.raw_samples(side, metric) for side in (left, right)]
    counts = windows.keep_equally_many(pairs.pairs, *raw) if metric.column.of_fastest else []
    runs = [
        windows.resample_runs(side, metric, rng, own) for side, own in zip((left, right), raw, strict=True)
    ]
    parts, overall = estimate_effects(left, right, pairs.pairs, runs, metric, rng, force=force)
    remarks = [*_correction(parts), *windows.count_remark(counts)]
    if metric.column.of_windows:
        remarks += [*windows.unsteady_remark(left, rows_a), *windows.unsteady_remark(right, rows_b)]
    if force and overall.over == "windows":
        against.append("one run a side: how runs differ from one another is not in the interval")
    if force and metric.column.timed and order.one_after_the_other(left, right, pairs.pairs):
        against.append(order.WHY)
    notes = [
        *pairs.notes,
        *_versions(left, right),
        *(order.when(left, right) if metric.column.machine_dependent else []),
    ]
    alone = [*left_out, *right_out, *pairs.alone]
    return Comparison(a.text, b.text, metric, overall, _corrected(parts), alone, notes, against, remarks)


def estimate_effects(
    a: RunSelection,
    b: RunSelection,
    pairs: Sequence[Pair],
    runs: Sequence[Mapping[int, ResampledRun]],
    metric: Metric,
    rng: np.random.Generator,
    *,
    force: bool = False,
) -> tuple[list[Effect], Effect]:
    """The effect in every configuration, and over all of them; `runs`: each side's by their row label."""

    def apart(some: Sequence[Pair]) -> bool:
        return not force and metric.column.timed and order.one_after_the_other(a, b, some)

    strata = [_stratum(each, *runs) for each in pairs]
    parts = [
        estimate_effect([stratum], metric, rng, label=each.label, force=force, apart=apart([each]))
        for each, stratum in zip(pairs, strata, strict=True)
    ]
    independent = _independent(pairs, strata, metric)
    overall = estimate_effect(independent, metric, rng, force=force, apart=apart(pairs))
    counts = sum(part.runs[0] for part in parts), sum(part.runs[1] for part in parts)
    return parts, replace(overall, runs=counts)


def estimate_effect(
    strata: Sequence[Stratum],
    metric: Metric,
    rng: np.random.Generator,
    *,
    label: str = "",
    force: bool = False,
    apart: bool = False,
) -> Effect:
    """The effect over some configurations, each of which has the same weight. `apart`: it cannot be told,
    because one side was made after the other."""
    difference = estimate_difference(strata, rng)
    weights = [stratum.weight for stratum in strata]
    why = _why(difference.over, difference.estimate, difference.error, force=force, apart=apart)
    verdict = CANNOT_TELL
    if not why and (difference.low > 0 or difference.high < 0):
        verdict = metric.better if (difference.estimate > 0) != metric.less else metric.worse
    return Effect(
        label,
        a=_back(np.average([_mean(stratum.a).value for stratum in strata], weights=weights), metric),
        b=_back(np.average([_mean(stratum.b).value for stratum in strata], weights=weights), metric),
        runs=(sum(len(stratum.a) for stratum in strata), sum(len(stratum.b) for stratum in strata)),
        estimate=_back(difference.estimate, metric),
        low=_back(difference.low, metric),
        high=_back(difference.high, metric),
        p_value=difference.p_value,
        over=difference.over,
        paired=all(stratum.paired for stratum in strata),
        verdict=verdict,
        why=why,
    )


def _corrected(parts: Sequence[Effect]) -> list[Effect]:
    """The verdicts on configurations by Holm's method: many of them do not make a false one likely."""
    tested = [part for part in parts if not part.why]
    adjusted = iter(holm([part.p_value for part in tested]))
    corrected = [part if part.why else replace(part, p_value=next(adjusted)) for part in parts]
    return [
        part if part.why or part.p_value <= 1 - LEVEL else replace(part, verdict=CANNOT_TELL)
        for part in corrected
    ]


def _correction(parts: Sequence[Effect]) -> list[str]:
    tested = sum(not part.why for part in parts)
    if tested < 2:
        return []
    return [
        f"The verdicts on {tested} configurations are corrected for their number (Holm); "
        "each interval is that of its configuration alone."
    ]


def _why(over: str, estimate: float, error: float, *, force: bool, apart: bool) -> str:
    """Why an interval decides nothing; "" for one that does."""
    if over == "windows" and not force:
        return "one run of a side says nothing about how runs differ from one another"
    if error == estimate == 0:
        return "the figures of both sides are the same"
    if apart:
        return order.WHY
    if error < ROUNDOFF:
        return "nothing deviates from run to run, or from pair to pair, so nothing shows what chance does"
    return ""


def gate_values(effect: Effect, metric: Metric) -> tuple[float, float, float]:
    """Estimate, low and high as a gate reads them: the more the better, a ratio of 1 or a difference of 0
    where both sides are alike."""
    values = effect.estimate, effect.low, effect.high
    if metric.less:
        low, high = (1 / values[2], 1 / values[1]) if metric.ratio else (-values[2], -values[1])
        return (1 / values[0] if metric.ratio else -values[0]), low, high
    return values


def _back(value: float, metric: Metric) -> float:
    return math.exp(value) if metric.ratio else value * metric.scale


def _usable(side: RunSelection, metric: Metric) -> tuple[RunSelection, list[str], list[str]]:
    """The side's runs with the figure; in words those without, and what stands against comparing."""
    frame, left_out, against = side.frame, [], []
    for status, count in frame["status"].value_counts().items():
        runs = f"{_count(count, 'run')} of {side.text}"
        if status != "ok":
            left_out.append(f"{runs}: {status}")
        if status == "parity_failed":
            against.append(f"parity_failed: {runs} did not compute what the reference does")
    good = frame[frame["status"] == "ok"]
    values = metric.values(good)
    usable = values.notna() & np.isfinite(values)
    if not usable.any():
        statuses = ", ".join(f"{status} {n}" for status, n in frame["status"].value_counts().items())
        raise CompareError(
            f"{side.text}: no ok run has a {metric.name} ({statuses}); python -m harness table shows them"
        )
    if not usable.all():
        left_out.append(f"{_count(int((~usable).sum()), 'run')} of {side.text}: without a {metric.name}")
    if metric.ratio and (values[usable] <= 0).any():
        raise CompareError(f"{side.text}: a {metric.name} of 0 or less, which no ratio can be taken of")
    return RunSelection(side.text, good[usable], side.named), left_out, against


def _contended(side: RunSelection, rows: Sequence[int]) -> list[str]:
    count = int(side.frame.loc[list(rows), "contended"].eq(True).sum())
    if not count:
        return []
    of = f"{count} of {_count(len(rows), 'run')} of {side.text}"
    return [f"contended: {of} without the cores to itself; leave them out: --where contended=false,null"]


def _stratum(each: Pair, left: Mapping[int, ResampledRun], right: Mapping[int, ResampledRun]) -> Stratum:
    """One run stands for all attempts at a seed: their mean."""
    a = [_mean([left[row] for row in rows]) for rows in each.a]
    b = [_mean([right[row] for row in rows]) for rows in each.b]
    return Stratum(a, b, paired=bool(each.seeds))


def _independent(pairs: Sequence[Pair], strata: Sequence[Stratum], metric: Metric) -> list[Stratum]:
    """Strata whose errors are independent: of some that are paired by the same seeds the mean, seed by seed.

    All backends compute the same. Of what the seed decides, their runs of one seed and one problem are no
    two: they count as one. Timings of one seed were made in one block: what the machine then did in favour of
    a side is in all configurations, each of which counts.
    """
    timed = metric.column.timed
    single = min(len(side) for stratum in strata for side in (stratum.a, stratum.b)) == 1
    if (timed and single) or not (timed or metric.column.seeded):  # of single runs configurations are drawn
        return list(strata)
    labels = [(() if timed else each.problem, each.seeds) if each.seeds else each.label for each in pairs]
    alike = grouped(zip(labels, strata, strict=True), lambda each: each[0])
    return [
        Stratum(
            [_mean(made) for made in zip(*(stratum.a for stratum in copies), strict=True)],
            [_mean(made) for made in zip(*(stratum.b for stratum in copies), strict=True)],
            paired=copies[0].paired,
            weight=len(copies) if timed else 1,
        )
        if len(copies) > 1
        else copies[0]
        for copies in ([stratum for _, stratum in same] for same in alike.values())
    ]


def _mean(made: Sequence[ResampledRun]) -> ResampledRun:
    return ResampledRun(
        float(np.mean([r.value for r in made])), np.mean([r.deviations for r in made], axis=0)
    )


def _versions(a: RunSelection, b: RunSelection) -> list[str]:
    """What was installed on one side and not on the other."""
    first, second = (installed_versions(side.frame) for side in (a, b))
    differences = []
    for name in sorted(first.keys() | second.keys()):
        one, other = first.get(name, set()), second.get(name, set())
        if not one & other:
            versions = [", ".join(sorted(each)) or "–" for each in (one, other)]
            differences.append(f"{name}: {versions[0]} in {a.text}; {versions[1]} in {b.text}")
    return differences


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
