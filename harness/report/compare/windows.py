"""The raw windows behind a comparison: equally many where the fastest count, and runs that were unsteady."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from harness.errors import CompareError
from harness.measure.bootstrap import ResampledRun, Statistic, resample_run
from harness.report.compare.pairing import Pair
from harness.report.compare.sides import RunSelection
from harness.report.metrics import Metric, samples
from harness.store.validate import invalid_timing

Raw = tuple[np.ndarray, Statistic] | None


def raw_samples(side: RunSelection, metric: Metric) -> dict[int, Raw]:
    """Every attempt's raw samples and their statistic, by its row label; raises CompareError for one whose
    raw timings are damaged."""
    raw: dict[int, Raw] = {}
    columns = (side.frame[name] for name in ("timing", "config", "record_path"))
    for row, timing, config, place in zip(side.frame.index, *columns, strict=True):
        if metric.ratio and (wrong := invalid_timing(timing)):
            raise CompareError(f"{place}: not a whole record: {wrong} is of the wrong type")
        raw[row] = samples(metric, timing, config) if metric.ratio else None
        if metric.column.of_fastest and raw[row] is None:
            raise CompareError(f"{place}: has a {metric.name} without the windows that it is of")
    return raw


def keep_equally_many(pairs: Sequence[Pair], a: dict[int, Raw], b: dict[int, Raw]) -> list[int]:
    """Cuts the raw samples of every pair's runs to the first so many as all of them have; these numbers."""
    counts = []
    for pair in pairs:
        places = [(raw, row) for raw, runs in ((a, pair.a), (b, pair.b)) for rows in runs for row in rows]
        found = [(raw, row, each) for raw, row in places if (each := raw[row]) is not None]
        counts.append(min(len(values) for _, _, (values, _) in found))
        for raw, row, (values, statistic) in found:
            raw[row] = values[: counts[-1]], statistic
    return counts


def resample_runs(
    side: RunSelection, metric: Metric, rng: np.random.Generator, raw: Mapping[int, Raw]
) -> dict[int, ResampledRun]:
    """Every attempt by its row label.

    Of the fastest windows its figure is that of the samples in `raw`, and nothing is resampled: a series
    drawn from these has the few fast ones several times or not at all, by which no two runs differ.
    """
    resampled = {}
    for row, value in zip(side.frame.index, metric.values(side.frame), strict=True):
        values, statistic = raw[row] or (None, np.asarray)
        if metric.column.of_fastest and values is not None:
            value, values = float(statistic(values)), None
        if metric.ratio:
            resampled[row] = resample_run(math.log(value), values, partial(_log, statistic), rng)
        else:
            resampled[row] = resample_run(value, None, np.asarray, rng)
    return resampled


def _log(statistic: Statistic, drawn: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(statistic(drawn)))


def count_remark(counts: Sequence[int]) -> list[str]:
    """Over how many windows the fastest are, in words."""
    if not counts:
        return []
    few, many = min(counts), max(counts)
    number, where = (f"{few:,}", "") if few == many else (f"{few:,} to {many:,}", ", by configuration")
    return [f"Of the first {number} windows of each run{where}: equally many on both sides."]


def unsteady_remark(side: RunSelection, rows: Sequence[int]) -> list[str]:
    """How many of these runs are unsteady, in words."""
    count = int(side.frame.loc[list(rows), "unsteady"].eq(True).sum())
    if not count:
        return []
    return [
        f"Unsteady: {count} of {len(rows)} runs of {side.text}, whose fastest windows "
        "(train_throughput_best) are more than 10 % above the median (train_throughput). Compare both."
    ]
