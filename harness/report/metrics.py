"""The columns that can be compared: the words of a comparison, and the raw samples behind a figure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas

from harness.errors import CompareError
from harness.measure.bootstrap import Statistic
from harness.measure.statistics import fastest, window_rates
from harness.store.columns import BY_TARGET, FLOPS, RATE, SECONDS, SHARE, Column
from harness.store.record import COLUMNS, TARGETS, column


@dataclass(frozen=True)
class Metric:
    """A column of the records that can be compared, or one entry of it (`seconds_to_target.0.97`).

    `sentence` is what a comparison says, with {a}, {b} and {figure}; `better` and `worse` are the verdicts on
    the first side.
    """

    name: str
    column: Column
    sentence: str
    better: str
    worse: str

    @property
    def less(self) -> bool:
        """Whether less is better."""
        return self.column.better == "less"

    @property
    def ratio(self) -> bool:
        """Whether sides are divided by one another, not subtracted."""
        return self.column.compared == "ratio"

    @property
    def scale(self) -> float:
        """What a difference is multiplied by to be shown: accuracies are in percentage points."""
        return 100.0 if not self.ratio and self.column.unit == SHARE else 1.0

    @property
    def unit(self) -> str:
        """What is written behind a difference."""
        return " points" if self.scale != 1 else ""

    def values(self, frame: pandas.DataFrame) -> pandas.Series:
        """Its figure in every run, NaN where there is none; raises CompareError for what is no number."""
        base, _, entry = self.name.partition(".")
        cells = frame[base].map(lambda value: (value or {}).get(entry)) if entry else frame[base]
        return pandas.to_numeric(cells, errors="coerce").astype(float)

    def shown(self, value: float) -> str:
        """A ratio or a difference, in the digits that it deserves."""
        if not self.ratio:
            return f"{value:+.3g}"
        return f"{value:.3f}" if 0.1 <= value < 10 else f"{value:.3g}"

    def in_words(self, value: float) -> str:
        """The figure as the sentence has it: a difference without its sign, which `above` or `below` says."""
        if self.ratio:
            return self.shown(value)
        return f"{abs(value):.3g}{self.unit} {'below' if value < 0 else 'above'}"


def parse_metric(name: str) -> Metric:
    """Raises CompareError for what is no measured number."""
    base, _, target = name.partition(".")
    described = column(name)
    if not described.compared or (base in TARGETS and not target):
        known = [each for each in COLUMNS if column(each).compared and each not in TARGETS]
        *most, last = (*known, *(f"{each}.0.97" for each in TARGETS))
        raise CompareError(
            f"--metric: {name!r} is no number that runs measure; there are {', '.join(most)} and {last}"
        )
    less = described.better == "less"
    better, worse = ("lower", "higher") if less else ("higher", "lower")
    if described.compared == "difference":
        return Metric(name, described, f"the {name} of {{a}} is {{figure}} that of {{b}}", better, worse)
    if described.unit in (RATE, FLOPS):
        return Metric(name, described, "{a} is {figure} times as fast as {b}", "faster", "slower")
    if described.unit in (SECONDS, SECONDS + BY_TARGET):
        return Metric(name, described, "{a} takes {figure} times as long as {b}", "faster", "slower")
    return Metric(name, described, f"{{a}} has {{figure}} times the {name} of {{b}}", better, worse)


def samples(
    metric: Metric, timing: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[np.ndarray, Statistic] | None:
    """The raw samples (W,) that a run's figure was computed from, and the statistic that gave it; None for a
    figure without any."""
    if metric.column.of_windows:
        windows, at_least = timing.get("windows"), config.get("measure", {}).get("window_seconds")
        statistic = fastest if metric.column.of_fastest else _median
        if not windows or at_least is None:
            return None
        return np.array(window_rates(windows, at_least)), statistic
    if metric.name == "inference_throughput":
        windows = timing.get("inference_windows")
        return (np.array(window_rates(windows, 0.0)), _median) if windows else None
    if metric.name == "train_seconds" and timing.get("windows"):
        return np.array([window["seconds"] for window in timing["windows"]]), _sum
    if metric.name.startswith("latency_") and timing.get("latency_seconds"):
        return np.array(timing["latency_seconds"]), _median if "p50" in metric.name else _p99
    if metric.name.startswith("step_latency_") and timing.get("step_latency_seconds"):
        return np.array(timing["step_latency_seconds"]["1"]), _median if "p50" in metric.name else _p99
    return None


def _median(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.median(values, axis=-1))


def _p99(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.percentile(values, 99, axis=-1))


def _sum(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.sum(axis=-1))
