"""How often `python -m harness compare` tells sides apart that are alike, on a machine whose speed drifts.

    python -m tests.bench.drift
    python -m tests.bench.drift --seconds 60 --times 5000

Simulates sweeps over two backends, three cells and n seeds in which every run is as fast as every other: runs
deviate by 3 %, and the machine drifts. The order is the harness's own (`harness/sweep/order.py`), as are the
pairs, the intervals and the verdicts. Every verdict but "cannot tell" is false.

- blocks: `sweep.order=blocks`, the default;
- one side after the other: `-m backend=… cell=… seed=…` with `sweep.order=given`, where the seed changes
  fastest and `compare` tells nothing; here, what the interval alone would tell, as with `--force`;
- seed by seed: `-m seed=… cell=… backend=…` with `sweep.order=given`.

For each the share of false verdicts on one cell, and, behind the stroke, over all three together; of the last
two orders only a quarter as many sweeps are simulated.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas

from harness.config.compose import configuration
from harness.config.schema import Config
from harness.measure.bootstrap import DRAWS, ResampledRun
from harness.report.compare.pairing import Pair, pair
from harness.report.compare.sides import RunSelection
from harness.report.compare.verdict import CANNOT_TELL, estimate_effects
from harness.report.metrics import parse_metric
from harness.sweep.order import arrange
from harness.sweep.task import Task

SPEED = parse_metric("train_throughput")
BACKENDS, CELLS, COUNTS = ("numpy", "torch"), ("rnn", "lstm", "gru"), (3, 5, 10)
DEVIATION = 0.03  # from run to run
JITTER = 0.2  # of how long a run takes
SECONDS, TIMES = 30.0, 1200

Drift = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # seconds (T,) -> logarithm of the speed (T,)


def steady(share: float, minutes: float) -> Drift:
    """Faster or slower by that share every so many minutes, as long as the sweep lasts."""

    def drift(moments: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.log1p(share) * moments / (60 * minutes) * rng.choice([-1, 1])

    return drift


def wave(share: float, minutes: float) -> Drift:
    """Up by that share within so many minutes and down again, from any moment of it on."""

    def drift(moments: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        phase = rng.uniform(0, 2 * np.pi)
        return np.log1p(share) / 2 * np.sin(np.pi * moments / (60 * minutes) + phase)

    return drift


def walk(share: float, minutes: float) -> Drift:
    """A random walk whose standard deviation after so many minutes is that share."""

    def drift(moments: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        steps = np.sqrt(np.diff(moments, prepend=0.0) / (60 * minutes)) * rng.standard_normal(len(moments))
        return np.log1p(share) * np.cumsum(steps)

    return drift


DRIFTS: dict[str, Drift] = {
    "none": lambda moments, _: np.zeros(len(moments)),
    "steady, 10 % in 5 minutes": steady(0.1, 5),
    "steady, 20 % in 30 minutes": steady(0.2, 30),
    "up and down, 10 % in 5 minutes": wave(0.1, 5),
    "up and down, 20 % in 30 minutes": wave(0.2, 30),
    "up and down, 10 % in 3 minutes": wave(0.1, 3),  # and up again every two blocks of runs of 30 seconds
    "random walk, 10 % in 5 minutes": walk(0.1, 5),
    "random walk, 20 % in 30 minutes": walk(0.2, 30),
}


class Sweep(NamedTuple):
    """Runs in the order in which they were made, as two sides, whose row labels are places, and pairs."""

    a: RunSelection
    b: RunSelection
    pairs: list[Pair]

    @property
    def runs(self) -> int:
        return len(self.a.frame) + len(self.b.frame)


@cache
def _config(backend: str, cell: str, order: str) -> Config:
    return configuration([f"backend={backend}", f"cell={cell}", f"sweep.order={order}"])


def sweep(order: str, seeds: int, *, seed_first: bool = False) -> Sweep:
    """The sweep of a command that names backends, cells and then seeds, or the other way round."""
    chosen: Iterable[tuple[str, str, int]] = product(BACKENDS, CELLS, range(seeds))
    if seed_first:
        chosen = ((b, c, s) for s, c, b in product(range(seeds), CELLS, BACKENDS))
    configs = [replace(_config(backend, cell, order), seed=seed) for backend, cell, seed in chosen]
    made = arrange([Task(number, config, "", None, "") for number, config in enumerate(configs)])
    frame = pandas.DataFrame([_row(place, task.config) for place, task in enumerate(made)])
    a, b = (
        RunSelection(f"backend={name}", frame[frame["backend"] == name], frozenset({"backend"}))
        for name in BACKENDS
    )
    return Sweep(a, b, pair(a, b, SPEED).pairs)


def _row(place: int, config: Config) -> dict[str, object]:
    began = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=place)
    return {
        "config": config.to_mapping(),
        "details": {},
        "environment": {},
        "backend": config.backend.name,
        "seed": config.seed,
        "started": began.isoformat(),
        "threads": 2,
        "device": "cpu",
        "device_name": "Some CPU",
    }


def simulated(
    made: Sweep, drift: Drift, seconds: float, rng: np.random.Generator
) -> Sequence[Mapping[int, ResampledRun]]:
    """The runs of both sides: one such sweep on one such machine."""
    durations = seconds * np.exp(JITTER * rng.standard_normal(made.runs))
    speeds = drift(np.cumsum(durations) - durations / 2, rng)
    speeds += DEVIATION * rng.standard_normal(made.runs)
    runs = {place: ResampledRun(float(speed), np.zeros(DRAWS)) for place, speed in enumerate(speeds)}
    return [{row: runs[row] for row in side.frame.index} for side in (made.a, made.b)]


def false_verdicts(
    made: Sweep,
    drift: Drift,
    rng: np.random.Generator,
    *,
    times: int = TIMES,
    seconds: float = SECONDS,
    force: bool = False,
) -> tuple[float, float]:
    """The share of false verdicts on single cells, and over all of them."""
    told = overall = 0
    for _ in range(times):
        runs = simulated(made, drift, seconds, rng)
        parts, whole = estimate_effects(made.a, made.b, made.pairs, runs, SPEED, rng, force=force)
        told += sum(part.verdict != CANNOT_TELL for part in parts)
        overall += whole.verdict != CANNOT_TELL
    return told / (times * len(made.pairs)), overall / times


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.drift",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"that a run takes; default: {SECONDS}"
    )
    parser.add_argument("--times", type=int, default=TIMES, help=f"simulated sweeps; default: {TIMES}")
    args = parser.parse_args()
    columns = {
        "blocks": ("blocks", False, False, args.times),
        "one side after the other": ("given", False, True, args.times // 4),
        "seed by seed": ("given", True, False, args.times // 4),
    }
    print(f"| drift | n | {' | '.join(columns)} |\n|---|---:|{'---:|' * len(columns)}")
    for name, drift in DRIFTS.items():
        for count in COUNTS:
            shares = []
            for order, seed_first, force, times in columns.values():
                rng = np.random.default_rng(count)
                made = sweep(order, count, seed_first=seed_first)
                one, whole = false_verdicts(made, drift, rng, times=times, seconds=args.seconds, force=force)
                shares.append(f"{one:.1%} / {whole:.1%}")
            print(f"| {name} | {count} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
