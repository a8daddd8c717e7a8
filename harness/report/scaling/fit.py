"""What size does to speed: runs of `mode=throughput` that differ in their batch, hidden units or steps alone.

An update of a given model takes t = overhead + FLOPs / rate: what it costs before there is any arithmetic
(launching operations, Python, the optimiser's small arrays), and arithmetic at a steady rate. Where the
two are equal overhead ends and arithmetic begins. Over the steps of a sequence operations grow in number,
not in size, so t = overhead + steps · seconds_per_step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from scipy.optimize import nnls

from harness.config import identity
from harness.errors import HarnessError
from harness.report.table import BY, framed, markdown, not_ok, provenance, text
from harness.store import frames
from harness.store.record import RunRecord

K = TypeVar("K")
V = TypeVar("V")

AXES = {"batch": "batch size", "hidden": "hidden units", "steps": "time steps"}
# the keys of the axes
SIZE = ("train.batch_size", "cell.hidden", "sequence.name", "sequence.rows_per_step")
DEVICE = 3  # its place in what `_identity` gives
FEWEST = 3  # points of a fit
MAKE = "make some with: python run.py -m +experiment=scaling"


class ScalingError(HarnessError):
    """Nothing to show, or a figure that cannot be drawn."""


@dataclass(frozen=True)
class Point:
    """An update of x sequences, of x hidden units or over x steps, as the mean over its runs."""

    x: int
    batch: int
    seconds: float
    flops: float
    peak: float  # FLOP/s of the best matrix product in its processes

    @property
    def rate(self) -> float:
        """FLOP/s."""
        return self.flops / self.seconds


@dataclass(frozen=True)
class Fit:
    """t = overhead + slope · z, in seconds: z are FLOPs, or steps.

    `errors` are |fitted - measured| / measured of every point.
    """

    overhead: float
    slope: float
    errors: tuple[float, ...]

    def seconds(self, z: float) -> float:
        return self.overhead + self.slope * z

    def share(self, z: float) -> float:
        """Of the time that is not overhead."""
        return self.slope * z / self.seconds(z)


@dataclass(frozen=True)
class Series:
    """One backend along a line, its points in ascending x, and the fit where there are enough of them."""

    label: str
    device: str
    points: tuple[Point, ...]
    fit: Fit | None

    @property
    def peak(self) -> float:
        """FLOP/s of the best matrix product in any of its runs: sizes share what nothing disturbed."""
        return max(point.peak for point in self.points)


@dataclass(frozen=True)
class Line:
    """Runs that differ along one axis alone. `fixed` says where on the others they are, `family` what else
    tells them from other lines."""

    axis: str
    family: str
    fixed: str
    series: tuple[Series, ...]


def fit(z: Sequence[float], seconds: Sequence[float]) -> Fit | None:
    """Least squares of the relative errors, neither part negative; None for fewer than FEWEST points."""
    if len(z) < FEWEST:
        return None
    zs, t = np.asarray(z, np.float64), np.asarray(seconds, np.float64)
    scale = zs.max()
    (overhead, slope), _ = nnls(np.stack([1 / t, zs / scale / t], axis=1), np.ones(len(t)))
    found = overhead + slope * zs / scale
    return Fit(float(overhead), float(slope / scale), tuple(abs(found / t - 1).tolist()))


def half(found: Fit, points: Sequence[Point]) -> float:
    """The x at which half of the time is arithmetic, between measured ones; 0 or infinity where it lies
    outside of them."""
    x, z = [p.x for p in points], [p.flops for p in points]
    if found.share(z[0]) >= 0.5:
        return 0.0
    if found.share(z[-1]) <= 0.5:
        return float("inf")
    wanted = found.overhead / found.slope
    return float(np.exp(np.interp(np.log(wanted), np.log(z), np.log(x))))


def lines(records: Sequence[RunRecord]) -> list[Line]:
    """Every line of two or more sizes in the `ok` runs that have all it takes, by family and axis."""
    good = [record for record in records if record.ok and record.mode == "throughput" and _whole(record)]
    found = []
    for family, runs in _families(good).items():
        labels = _labels(runs)
        for axis in AXES:
            fixed = [other for other in AXES if other != axis]
            for place, along in _grouped(runs, partial(_place, fixed)).items():
                if len({_x(run, axis) for run in along}) < 2:
                    continue
                said = ", ".join(sized(*at) for at in zip(fixed, place, strict=True))
                series = sorted(_grouped(along, _identity).items())
                found.append(
                    Line(axis, family, said, tuple(_series(axis, labels[one], same) for one, same in series))
                )
    return found


def _whole(record: RunRecord) -> bool:
    """Whether its steps, its speed and its peak are known: others' records may lack them."""
    steps = record.details.get("shape", {}).get("steps")
    return bool(steps and record.train_throughput and record.peak_flops_per_second)


def _families(runs: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Runs by what has to be the same along a line: `lstm, mnist`, and whatever else differs among those."""
    found: dict[str, list[RunRecord]] = {}
    for name, alike in _grouped(runs, lambda run: f"{run.cell}, {run.data}").items():
        settings = [_settings(run) for run in alike]
        told = [key for key in settings[0] if len({s.get(key) for s in settings}) > 1]
        for run, own in zip(alike, settings, strict=True):
            found.setdefault(", ".join([name, *(f"{key}={own.get(key)}" for key in told)]), []).append(run)
    return found


def sized(axis: str, x: float) -> str:
    """A place on an axis, in words."""
    return f"batch size {x:,.0f}" if axis == "batch" else f"{x:,.0f} {AXES[axis]}"


def _place(axes: Sequence[str], record: RunRecord) -> tuple[int, ...]:
    return tuple(_x(record, axis) for axis in axes)


def _x(record: RunRecord, axis: str) -> int:
    return {
        "batch": record.batch_size,
        "hidden": record.hidden,
        "steps": int(record.details["shape"]["steps"]),
    }[axis]


def _series(axis: str, label: str, runs: Sequence[RunRecord]) -> Series:
    points = []
    for x, same in sorted(_grouped(runs, lambda run: _x(run, axis)).items()):
        batch, sequence = same[0].batch_size, same[0].flops_per_sequence
        seconds = float(np.mean([batch / run.train_throughput for run in same if run.train_throughput]))
        peak = max(run.peak_flops_per_second for run in same if run.peak_flops_per_second)
        points.append(Point(x, batch, seconds, 3.0 * batch * sequence, peak))
    z = [point.x if axis == "steps" else point.flops for point in points]
    return Series(label, text(runs[0].device_name), tuple(points), fit(z, [p.seconds for p in points]))


def _settings(record: RunRecord) -> dict[str, str]:
    """What changes how long an update takes, but for the sizes along an axis and who computes it where."""
    settings = identity.settings(record.config, "contender", "length", "machine")
    return {name: str(value) for name, value in settings.items() if name not in SIZE}


def _identity(record: RunRecord) -> tuple[str, ...]:
    """What a series is of: the backend first, then what tells several of its series apart."""
    return (
        record.backend,
        text(record.engine),
        record.implementation,
        text(record.device_name),  # DEVICE
        f"{record.threads} threads",
    )


def _labels(runs: Sequence[RunRecord]) -> dict[tuple[str, ...], str]:
    """Identity -> the backend and as much of the rest as tells its series apart; the device where there are
    several."""
    known = sorted({_identity(run) for run in runs})
    labels = {}
    for one in known:
        own = [other for other in known if other[0] == one[0]]
        among = {k: known if k == DEVICE else own for k in range(1, len(one))}
        rest = [one[k] for k, others in among.items() if len({other[k] for other in others}) > 1]
        labels[one] = " ".join([one[0], *rest])
    return labels


def read(results: str) -> list[RunRecord]:
    """The runs of `mode=throughput` below a results directory or URL; raises StoreError for one that is
    not there, ScalingError where it holds none."""
    found = [record for record in frames.records(results) if record.mode == "throughput"]
    if not found:
        raise ScalingError(f"no runs of mode=throughput in {results}; {MAKE}")
    return found


def render(records: Sequence[RunRecord], found: Sequence[Line]) -> str:
    """Every line as a table and what follows from it; then what is not to be trusted, what did not end
    `ok`, and on what it was measured."""
    frame = framed(records)
    parts = []
    for line in found:
        heads = ["backend", AXES[line.axis], "sequences/s", "µs an update", "GFLOP/s", "of the peak"]
        heads += ["arithmetic"] if line.axis != "steps" else []
        rows = [row for series in line.series for row in _rows(line.axis, series)]
        said = [f"- {conclusion(line.axis, s, s.fit)}" for s in line.series if s.fit]
        parts += [f"{AXES[line.axis].capitalize()}: {title(line)}", markdown(heads, rows, 1), *_listed(said)]
    shared = [
        f"{run.backend} at {', '.join(sized(axis, _x(run, axis)) for axis in AXES)}"
        for run in records
        if run.ok and run.contended
    ]
    if shared:
        parts.append(f"Others used the cores, timing is not to be trusted: {'; '.join(shared)}.")
    rest = not_ok(frame, (*BY, "batch_size", "hidden", "sequence"))
    if len(rest):
        rows = [[text(value) for value in row] for row in rest.itertuples(index=False)]
        parts += ["Not ok:", markdown(list(rest.columns), rows, len(rest.columns))]
    return "\n\n".join([*parts, *([provenance(frame)] if found else [])])


def title(line: Line) -> str:
    return f"{line.family}; {line.fixed}"


def conclusion(axis: str, series: Series, found: Fit) -> str:
    """What a series' fit says, and how far it is from what was measured."""
    off = f"(fit: {_share(float(np.median(found.errors)))} off, at most {_share(max(found.errors))})"
    start = f"{series.label}: {_figure(1e6 * found.overhead)} µs"
    if axis == "steps":
        flops = np.polyfit([p.x for p in series.points], [p.flops for p in series.points], 1)[0]
        least = flops / series.peak
        return (
            f"{start} an update and {_figure(1e6 * found.slope)} µs a step, however long the sequence is; "
            f"a step's arithmetic would take {_figure(1e6 * least)} µs at the peak {off}"
        )
    rate = f"arithmetic at {_figure(1e-9 / found.slope)} GFLOP/s" if found.slope else "no arithmetic in sight"
    at, first, last = half(found, series.points), series.points[0].x, series.points[-1].x
    if at == 0:
        where = f"more than half of the time is arithmetic already at {sized(axis, first)}"
    elif at == float("inf"):
        where = f"more than half of the time is overhead still at {sized(axis, last)}"
    else:
        where = f"half of the time is arithmetic at {sized(axis, at)}"
    return f"{start} of overhead an update, {rate}; {where} {off}"


def _rows(axis: str, series: Series) -> list[list[str]]:
    rows = []
    for p in series.points:
        figures = [p.batch / p.seconds, 1e6 * p.seconds, 1e-9 * p.rate]
        row = [series.label, f"{p.x:,}", *map(_figure, figures), _share(p.rate / series.peak)]
        if axis != "steps":
            row.append(_share(series.fit.share(p.flops)) if series.fit else "–")
        rows.append(row)
    return rows


def _listed(said: Sequence[str]) -> list[str]:
    return ["\n".join(said)] if said else []


def _figure(value: float) -> str:
    """Three digits that count, all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.1f} %"


def _grouped(items: Sequence[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    found: dict[K, list[V]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found
