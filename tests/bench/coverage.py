"""How often `python -m harness compare` is right: on real runs, and on simulated ones.

    python -m tests.bench.coverage
    python -m tests.bench.coverage --pool /tmp/pool --runs 30

Makes a pool of short real runs, so many of each configuration (or finds them in DIR, and makes what is
missing), in an order in which those of one configuration are spread over the whole time. Then, a thousand
times for every configuration, five runs a side are drawn, none of them twice,

- as they are: "cannot tell" is right;
- with the timings of one side scaled by 1.05: "faster" is right.

Simulated runs show what the interval covers from two runs a side to twenty, beside the percentiles of a
bootstrap over runs.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from harness.compare.interval import DRAWS, Run, Stratum, interval
from harness.compare.metric import named
from harness.compare.sides import Side, read
from harness.compare.verdict import CANNOT_TELL, judge, runs_of
from tests.bench.child import ROOT

SPEED = named("train_throughput")
EFFECT, A_SIDE, TIMES, POOL = 1.05, 5, 1000, 20
SETTINGS = (
    "mode=throughput",
    "data=digits",
    "threads=1",
    "cell.hidden=64",
    "measure.seconds=1.5",
    "measure.window_seconds=0.1",
)
CHOICES = ("backend=numpy,torch", "cell=lstm,gru")


def make(pool: Path, runs: int) -> None:
    """So many runs of each configuration; those that are there stay."""
    seeds = f"seed=range(0,{runs})"  # first: it changes last
    command = [sys.executable, "run.py", "-m", f"results.root={pool}", *SETTINGS, seeds, *CHOICES]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def pools(place: Path) -> Iterator[tuple[str, list[Run], int]]:
    """Of every configuration its name, its runs, and how many of them others disturbed."""
    frame = read(str(place))
    frame = frame[frame["status"] == "ok"]
    rng = np.random.default_rng(0)
    for (backend, cell), part in frame.groupby(["backend", "cell"]):
        found = runs_of(Side("", part), SPEED, rng)
        yield f"{backend} {cell}", list(found.values()), int(part["contended"].eq(True).sum())


def drawn(pool: Sequence[Run], count: int, rng: np.random.Generator) -> tuple[list[Run], list[Run]]:
    """Two sets of different runs."""
    chosen = rng.permutation(len(pool))[: 2 * count]
    return [pool[k] for k in chosen[:count]], [pool[k] for k in chosen[count:]]


def verdicts(pool: Sequence[Run], times: int, effect: float, rng: np.random.Generator) -> list[str]:
    """Of so many comparisons of runs that are faster by a factor with others of the same configuration."""
    found = []
    for _ in range(times):
        a, b = drawn(pool, A_SIDE, rng)
        faster = [Run(run.value + np.log(effect), run.moves) for run in a]
        found.append(judge([Stratum(faster, b)], SPEED, rng).verdict)
    return found


def coverage(
    count: int, times: int, noise: Callable[[np.random.Generator, int], np.ndarray], rng: np.random.Generator
) -> tuple[float, float]:
    """How often the interval, and the percentiles of a bootstrap over runs, contain the true difference of
    0."""
    ours = percentile = 0
    for _ in range(times):
        values = noise(rng, 2 * count)
        sides = [Run(float(value), np.zeros(DRAWS)) for value in values]
        found = interval([Stratum(sides[:count], sides[count:])], rng)
        ours += found.low <= 0 <= found.high
        means = [half[rng.integers(0, count, (1000, count))].mean(axis=1) for half in np.split(values, 2)]
        low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
        percentile += low <= 0 <= high
    return ours / times, percentile / times


NOISE = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "now and then three times slower": lambda rng, n: (
        np.where(rng.random(n) < 0.1, -1.1, 0.02) * rng.random(n)
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.coverage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pool", type=Path, help="a results directory to keep the runs in")
    parser.add_argument("--runs", type=int, default=POOL, help=f"of each configuration, from {2 * A_SIDE}")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as place:
        pool = args.pool or Path(place)
        make(pool.absolute(), args.runs)
        print(
            f"| configuration | runs | disturbed | deviation | same: {CANNOT_TELL} | {EFFECT} times: faster |"
        )
        print("|---|---:|---:|---:|---:|---:|")
        for name, runs, disturbed in pools(pool):
            same, faster = (verdicts(runs, TIMES, effect, rng) for effect in (1.0, EFFECT))
            deviation = np.std([run.value for run in runs], ddof=1)
            right = same.count(CANNOT_TELL) / TIMES, faster.count("faster") / TIMES
            print(
                f"| {name} | {len(runs)} | {disturbed} | {deviation:.2%} | {right[0]:.1%} | {right[1]:.1%} |"
            )
    print("\n| simulated runs | a side | covered | percentiles |\n|---|---:|---:|---:|")
    for name, noise in NOISE.items():
        for count in (2, 3, 5, 10, 20):
            ours, percentile = coverage(count, 2000, noise, rng)
            print(f"| {name} | {count} | {ours:.1%} | {percentile:.1%} |")


if __name__ == "__main__":
    main()
