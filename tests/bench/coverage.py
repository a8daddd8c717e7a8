"""How often `python -m harness compare` is right: on real runs, and on simulated ones.

    python -m tests.bench.coverage
    python -m tests.bench.coverage --pool /tmp/pool --seeds 12 --seconds 1.5

Makes a pool of short real runs (or finds them in DIR, and makes what is missing): of several configurations,
for every seed in turn, two runs one after the other. Then, a thousand times for every configuration, five
runs a side are drawn, none of them twice: of five seeds one run for each side, as from a sweep that changes
the seed last, which `compare` pairs; and any ten runs, which it does not. They are compared

- as they are: "cannot tell" is right;
- with the timings of one side scaled by 1.05: "faster" is right.

Simulated runs show what the interval covers from two runs a side to twenty, beside the percentiles of a
bootstrap over runs, and how often five a side find the 5 %, by how much runs deviate.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from harness.measure.bootstrap import DRAWS, ResampledRun, Stratum, estimate_difference
from harness.report.compare.sides import RunSelection, read_runs
from harness.report.compare.verdict import CANNOT_TELL, estimate_effect
from harness.report.compare.windows import raw_samples, resample_runs
from harness.report.metrics import parse_metric
from tests.bench.child import ROOT

SPEED = parse_metric("train_throughput")
EFFECT, A_SIDE, TIMES, SEEDS, SECONDS = 1.05, 5, 1000, 8, 6.0
SETTINGS = ("mode=throughput", "data=digits", "threads=1", "cell.hidden=64", "measure.window_seconds=0.1")
CHOICES = ("backend=numpy,torch", "cell=lstm,gru", "measure.warmup_steps=10,11")  # the last has no say here

Twins = list[tuple[ResampledRun, ResampledRun]]  # by seed


def make(pool: Path, seeds: int, seconds: float) -> None:
    """Two runs of each configuration and seed; those that are there stay."""
    varied = [f"seed=range(0,{seeds})", *CHOICES]  # the first changes last
    settings = [f"results.root={pool}", *SETTINGS, f"measure.seconds={seconds}"]
    command = [sys.executable, "run.py", "-m", *settings, *varied]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def pools(place: Path) -> Iterator[tuple[str, Twins, int]]:
    """Of every configuration its name, its runs, and how many of them others disturbed."""
    frame = read_runs(str(place))
    frame = frame[frame["status"] == "ok"]
    rng = np.random.default_rng(0)
    for (backend, cell), part in frame.groupby(["backend", "cell"]):
        side = RunSelection("", part)
        runs = resample_runs(side, SPEED, rng, raw_samples(side, SPEED))
        twins = [(runs[a], runs[b]) for a, b in part.groupby("seed").groups.values()]
        yield f"{backend} {cell}", twins, int(part["contended"].eq(True).sum())


def drawn(twins: Twins, rng: np.random.Generator, *, paired: bool) -> Stratum:
    """Five runs a side, none twice."""
    if not paired:
        runs = [run for pair in twins for run in pair]
        chosen = [runs[k] for k in rng.permutation(len(runs))[: 2 * A_SIDE]]
        return Stratum(chosen[:A_SIDE], chosen[A_SIDE:])
    swapped = [twins[k][:: 1 if rng.random() < 0.5 else -1] for k in rng.permutation(len(twins))[:A_SIDE]]
    return Stratum([a for a, _ in swapped], [b for _, b in swapped], paired=True)


def right(twins: Twins, times: int, effect: float, rng: np.random.Generator, *, paired: bool) -> float:
    """The share of so many comparisons, of runs that are faster by that factor with others of the same
    configuration, whose verdict is right."""
    verdicts = []
    for _ in range(times):
        found = drawn(twins, rng, paired=paired)
        faster = [ResampledRun(run.value + np.log(effect), run.deviations) for run in found.a]
        verdicts.append(estimate_effect([Stratum(faster, found.b, paired=paired)], SPEED, rng).verdict)
    return verdicts.count(CANNOT_TELL if effect == 1 else "faster") / times


def deviation(twins: Twins, *, paired: bool) -> float:
    """Of a run, relative: over all runs, or between those of one seed."""
    values = np.array([[a.value, b.value] for a, b in twins])
    return float(np.sqrt(np.mean(np.var(values, axis=1, ddof=1))) if paired else np.std(values, ddof=1))


def coverage(
    count: int,
    times: int,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """How often the interval, and the percentiles of a bootstrap over runs, have the true difference, 0."""
    ours = percentile = 0
    for _ in range(times):
        values = noise(rng, 2 * count)
        sides = [ResampledRun(float(value), np.zeros(DRAWS)) for value in values]
        found = estimate_difference([Stratum(sides[:count], sides[count:])], rng)
        ours += found.low <= 0 <= found.high
        means = [half[rng.integers(0, count, (1000, count))].mean(axis=1) for half in np.split(values, 2)]
        low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
        percentile += low <= 0 <= high
    return ours / times, percentile / times


def power(spread: float, times: int, rng: np.random.Generator) -> float:
    """How often five simulated runs a side that deviate so much are told apart where one side is faster."""
    told = 0
    for _ in range(times):
        values = spread * rng.standard_normal(2 * A_SIDE)
        values[:A_SIDE] += np.log(EFFECT)
        sides = [ResampledRun(float(value), np.zeros(DRAWS)) for value in values]
        told += estimate_difference([Stratum(sides[:A_SIDE], sides[A_SIDE:])], rng).low > 0
    return told / times


def slow_now_and_then(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.where(rng.random(n) < 0.1, -1.1, 0.02) * rng.random(n)


NOISE: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "one in ten up to three times slower": slow_now_and_then,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.coverage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pool", type=Path, metavar="DIR", help="a results directory to keep the runs in")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"default: {SEEDS}; from {A_SIDE}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of timing in every run")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as place:
        pool = args.pool or Path(place)
        make(pool.absolute(), args.seeds, args.seconds)
        print(f"| of | runs | disturbed | drawn | deviation | same: {CANNOT_TELL} | 1.05: faster |")
        print("|---|---:|---:|---|---:|---:|---:|")
        for name, twins, disturbed in pools(pool):
            for how, paired in (("of one seed", True), ("at random", False)):
                spread = deviation(twins, paired=paired)
                shares = [right(twins, TIMES, effect, rng, paired=paired) for effect in (1.0, EFFECT)]
                print(
                    f"| {name} | {2 * len(twins)} | {disturbed} | {how} | {spread:.2%} | "
                    f"{shares[0]:.1%} | {shares[1]:.1%} |",
                    flush=True,
                )
    rng = np.random.default_rng(2)  # whatever the real runs were
    print("\n| simulated runs | a side | covered | percentiles |\n|---|---:|---:|---:|")
    for name, noise in NOISE.items():
        for count in (2, 3, 5, 10, 20):
            ours, percentile = coverage(count, 2000, noise, rng)
            print(f"| {name} | {count} | {ours:.1%} | {percentile:.1%} |", flush=True)
    print("\n| simulated runs deviate by | 1.05: faster |\n|---:|---:|")
    for spread in (0.01, 0.015, 0.02, 0.03, 0.04):
        print(f"| {spread:.1%} | {power(spread, 2000, rng):.1%} |", flush=True)


if __name__ == "__main__":
    main()
