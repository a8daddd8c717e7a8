"""Runs of `mode=throughput` grouped into lines: those of a line differ along one axis alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from harness.config import identity
from harness.report.format import text
from harness.report.grouping import grouped
from harness.report.scaling.fit import Fit, fit_seconds, half_arithmetic_size
from harness.store.record import RunRecord

AXES = {"batch": "batch size", "hidden": "hidden units", "steps": "time steps"}
# the keys of the axes
SIZE = ("train.batch_size", "cell.hidden", "sequence.name", "sequence.rows_per_step")
DEVICE = 3  # its index in an identity


@dataclass(frozen=True)
class Point:
    """An update of a given size, as the mean over its runs. `size` is its place on the line's axis; `peak` is
    the FLOP/s of the best matrix product in its processes."""

    size: int
    batch: int
    seconds: float
    flops: float
    peak: float

    @property
    def rate(self) -> float:
        """FLOP/s."""
        return self.flops / self.seconds


@dataclass(frozen=True)
class ScalingCurve:
    """One backend along a line: its points by ascending size, and the fit if there are enough of them."""

    label: str
    device: str
    points: tuple[Point, ...]
    fit: Fit | None

    @property
    def peak(self) -> float:
        """FLOP/s of the best matrix product in any of its runs: the one that was disturbed the least."""
        return max(point.peak for point in self.points)

    def peak_share(self, point: Point) -> float | None:
        """A point's share of the peak; None where it is faster, since no product measured is a peak then."""
        return point.rate / self.peak if point.rate <= self.peak else None

    @property
    def half_arithmetic_size(self) -> float | None:
        """See `fit.half_arithmetic_size`; None without a fit."""
        if self.fit is None:
            return None
        sizes, flops = [p.size for p in self.points], [p.flops for p in self.points]
        return half_arithmetic_size(self.fit, sizes, flops)


@dataclass(frozen=True)
class Line:
    """Runs that differ along one axis alone. `fixed` names their sizes on the other axes, `family` their
    cell, dataset and the settings that distinguish them from other lines."""

    axis: str
    family: str
    fixed: str
    curves: tuple[ScalingCurve, ...]

    @property
    def title(self) -> str:
        return f"{self.family}; {self.fixed}"

    @property
    def peaks(self) -> dict[str, float]:
        """Device -> FLOP/s of the best matrix product that was measured on it."""
        peaks: dict[str, float] = {}
        for curve in self.curves:
            peaks[curve.device] = max(curve.peak, peaks.get(curve.device, 0.0))
        return peaks


def group_lines(records: Sequence[RunRecord]) -> list[Line]:
    """Every line of two or more sizes among the `ok` runs, by family and axis."""
    complete = [
        record for record in records if record.ok and record.mode == "throughput" and _complete(record)
    ]
    lines = []
    for family, runs in _families(complete).items():
        labels = _labels(runs)
        for axis in AXES:
            fixed_axes = [other for other in AXES if other != axis]
            for fixed_sizes, along in grouped(runs, partial(_sizes, fixed_axes)).items():
                if len({size(run, axis) for run in along}) < 2:
                    continue
                fixed = ", ".join(map(describe_size, fixed_axes, fixed_sizes))
                curves = sorted(grouped(along, _identity).items())
                lines.append(
                    Line(axis, family, fixed, tuple(_curve(axis, labels[key], same) for key, same in curves))
                )
    return lines


def describe_size(axis: str, size: float) -> str:
    """`batch size 128` or `28 time steps`."""
    return f"batch size {size:,.0f}" if axis == "batch" else f"{size:,.0f} {AXES[axis]}"


def size(record: RunRecord, axis: str) -> int:
    return {
        "batch": record.batch_size,
        "hidden": record.hidden,
        "steps": int(record.details["shape"]["steps"]),
    }[axis]


def _sizes(axes: Sequence[str], record: RunRecord) -> tuple[int, ...]:
    return tuple(size(record, axis) for axis in axes)


def _complete(record: RunRecord) -> bool:
    """Whether the record has its steps, its speed and its peak; those of other programs may lack them."""
    steps = record.details.get("shape", {}).get("steps")
    return bool(steps and record.train_flops_per_second and record.peak_flops_per_second)


def _families(runs: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Runs by what is the same along a line: `lstm, mnist` and the settings that differ among those."""
    families: dict[str, list[RunRecord]] = {}
    for name, members in grouped(runs, lambda run: f"{run.cell}, {run.data}").items():
        settings = [_settings(run) for run in members]
        differing = [key for key in settings[0] if len({s.get(key) for s in settings}) > 1]
        for run, own in zip(members, settings, strict=True):
            family = ", ".join([name, *(f"{key}={own.get(key)}" for key in differing)])
            families.setdefault(family, []).append(run)
    return families


def _settings(record: RunRecord) -> dict[str, str]:
    """The settings that change how long an update takes, without the sizes, the backend and the machine."""
    settings = identity.settings(record.config, "contender", "length", "machine")
    return {name: str(value) for name, value in settings.items() if name not in SIZE}


def _curve(axis: str, label: str, runs: Sequence[RunRecord]) -> ScalingCurve:
    points = []
    for place, same in sorted(grouped(runs, lambda run: size(run, axis)).items()):
        batch, flops = same[0].batch_size, same[0].training_flops_per_sequence
        assert flops is not None
        seconds = batch / fmean(run.train_throughput for run in same if run.train_throughput)
        peak = max(run.peak_flops_per_second for run in same if run.peak_flops_per_second)
        points.append(Point(place, batch, seconds, float(batch * flops), peak))
    work = [point.size if axis == "steps" else point.flops for point in points]
    fit = fit_seconds(work, [point.seconds for point in points])
    return ScalingCurve(label, text(runs[0].device_name), tuple(points), fit)


def _identity(record: RunRecord) -> tuple[str, ...]:
    """What a curve belongs to: the backend first, then what distinguishes several curves of a backend."""
    settings = identity.settings(record.config)
    return (
        record.backend,
        text(record.engine),
        record.implementation,
        text(record.device_name),  # DEVICE
        f"{record.threads} threads",
        f"{settings['backend.shards']} shards",
        "padded" if settings["backend.pad_features"] else "unpadded",
    )


def _labels(runs: Sequence[RunRecord]) -> dict[tuple[str, ...], str]:
    """Identity -> the backend and as much of the rest as distinguishes its curves; the device if there are
    several."""
    identities = sorted({_identity(run) for run in runs})
    labels = {}
    for own in identities:
        same_backend = [other for other in identities if other[0] == own[0]]
        rest = [
            part
            for k, part in enumerate(own)
            if k and len({other[k] for other in (identities if k == DEVICE else same_backend)}) > 1
        ]
        labels[own] = " ".join([own[0], *rest])
    return labels
