"""What can be compared: which way a figure is better, what of a record it hangs on, and in which words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas

from harness.measure.statistics import pooled
from harness.report.compare.errors import CompareError

Figure = Callable[[np.ndarray], np.ndarray]  # samples (…, W) -> figure (…)


@dataclass(frozen=True)
class Metric:
    """A column of the records, or one entry of a mapping in it (`seconds_to_target.0.97`).

    `ratio`: sides are divided by one another, else subtracted. `seeded`: the seed decides it, so that runs of
    one seed belong together and repeating one tells nothing new. `timed`: it hangs on device and threads.
    """

    name: str
    sentence: str  # with {a}, {b} and {figure}
    better: str  # what the first side is called where it wins, and …
    worse: str  # … where it loses
    less: bool = False  # is better
    ratio: bool = True
    seeded: bool = False
    timed: bool = True
    scale: float = 1.0  # of a difference, as it is shown
    unit: str = ""

    @property
    def disturbed(self) -> bool:
        """Whether others on the same cores spoil it."""
        return self.timed and not self.name.endswith("bytes")

    def values(self, frame: pandas.DataFrame) -> pandas.Series:
        """Its figure in every run, NaN where there is none; raises CompareError for what is no number."""
        base, _, entry = self.name.partition(".")
        found = frame[base].map(lambda value: (value or {}).get(entry)) if entry else frame[base]
        return pandas.to_numeric(found, errors="coerce").astype(float)

    def shown(self, value: float) -> str:
        """A ratio or a difference, in the digits that it deserves."""
        if not self.ratio:
            return f"{value:+.3g}"
        return f"{value:.3f}" if 0.1 <= value < 10 else f"{value:.3g}"

    def said(self, value: float) -> str:
        """The figure as the sentence has it: a difference without its sign, which `above` or `below` says."""
        if self.ratio:
            return self.shown(value)
        return f"{abs(value):.3g}{self.unit} {'below' if value < 0 else 'above'}"


def _speed(name: str) -> Metric:
    return Metric(name, "{a} is {figure} times as fast as {b}", "faster", "slower")


def _time(name: str, *, seeded: bool = False) -> Metric:
    words = "{a} takes {figure} times as long as {b}"
    return Metric(name, words, "faster", "slower", less=True, seeded=seeded)


def _amount(name: str, *, less: bool, seeded: bool = False, timed: bool = True) -> Metric:
    words = f"{{a}} has {{figure}} times the {name} of {{b}}"
    better, worse = ("lower", "higher") if less else ("higher", "lower")
    return Metric(name, words, better, worse, less=less, seeded=seeded, timed=timed)


def _score(name: str, *, less: bool, scale: float = 1.0, unit: str = "") -> Metric:
    words = f"the {name} of {{a}} is {{figure}} that of {{b}}"
    better, worse = ("lower", "higher") if less else ("higher", "lower")
    return Metric(
        name, words, better, worse, less, ratio=False, seeded=True, timed=False, scale=scale, unit=unit
    )


METRICS = {
    metric.name: metric
    for metric in (
        _speed("train_throughput"),
        _speed("inference_throughput"),
        _speed("train_flops_per_second"),
        _amount("peak_fraction", less=False),
        _amount("own_shape_fraction", less=False),
        *(
            _score(f"{name}_accuracy", less=False, scale=100, unit=" points")
            for name in ("test", "validation", "best_validation")
        ),
        _score("test_loss", less=True),
        _score("train_loss", less=True),
        *(
            _time(f"{name}_seconds")
            for name in (
                "latency_p50",
                "latency_p99",
                "step_latency_p50",
                "step_latency_p99",
                "train",
                "first_call",
                "compile",
                "total",
            )
        ),
        _amount("peak_memory_bytes", less=True),
        _amount("device_peak_memory_bytes", less=True),
        _amount("parity_loss", less=True, seeded=True, timed=False),
        _amount("parity_gradient", less=True, seeded=True, timed=False),
    )
}
TARGETS = ("seconds_to_target", "epochs_to_target", "steps_to_target")


def named(name: str) -> Metric:
    """Raises CompareError for what is no measured number."""
    base, _, target = name.partition(".")
    if base in TARGETS and target:
        if base == "seconds_to_target":
            return _time(name, seeded=True)
        return _amount(name, less=True, seeded=True, timed=False)
    if name in METRICS:
        return METRICS[name]
    *most, last = (*METRICS, *(f"{base}.0.97" for base in TARGETS))
    raise CompareError(
        f"--metric: {name!r} is no number that runs measure; there are {', '.join(most)} and {last}"
    )


def samples(
    metric: Metric, timing: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[np.ndarray, Figure] | None:
    """The raw samples (W,) that a run's figure was made of, and how; None for a figure without any."""
    if metric.name in ("train_throughput", "train_flops_per_second", "peak_fraction", "own_shape_fraction"):
        windows, at_least = timing.get("windows"), config.get("measure", {}).get("window_seconds")
        return _rates(windows, at_least) if windows and at_least is not None else None
    if metric.name == "inference_throughput":
        windows = timing.get("inference_windows")
        return _rates(windows, 0.0) if windows else None
    if metric.name == "train_seconds" and timing.get("windows"):
        return np.array([window["seconds"] for window in timing["windows"]]), _sum
    if metric.name.startswith("latency_") and timing.get("latency_seconds"):
        return np.array(timing["latency_seconds"]), _median if "p50" in metric.name else _p99
    if metric.name.startswith("step_latency_") and timing.get("step_latency_seconds"):
        return np.array(timing["step_latency_seconds"]["1"]), _median if "p50" in metric.name else _p99
    return None


def _rates(windows: list[dict[str, float]], at_least: float) -> tuple[np.ndarray, Figure]:
    work, seconds = [w["sequences"] for w in windows], [w["seconds"] for w in windows]
    return np.array(pooled(work, seconds, at_least)), _median


def _median(found: np.ndarray) -> np.ndarray:
    return np.asarray(np.median(found, axis=-1))


def _p99(found: np.ndarray) -> np.ndarray:
    return np.asarray(np.percentile(found, 99, axis=-1))


def _sum(found: np.ndarray) -> np.ndarray:
    return np.asarray(found.sum(axis=-1))
