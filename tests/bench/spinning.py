"""How long PyTorch's threads should spin at a barrier before they sleep: `python -m tests.bench.spinning`.

Times training with several values of GOMP_SPINCOUNT, in turns, on a quiet machine and beside a process that
keeps one core busy. Prints the median of each, and its ratio to the default of libgomp's.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from statistics import median
from typing import Any

import harness
from harness.launcher import process

COUNTS = ("", "1000", "10000", "30000", "100000", "300000", "1000000")
NAME = "GOMP_SPINCOUNT"


def spin() -> None:
    while True:
        pass


@contextmanager
def busy_core() -> Iterator[None]:
    other = multiprocessing.get_context("spawn").Process(target=spin, daemon=True)
    other.start()
    try:
        yield
    finally:
        other.kill()
        other.join()


def throughput(overrides: list[str], count: str, seed: int) -> float:
    """Training speed of one run whose child has this count."""
    plain = process.environment

    def with_count(*arguments: Any) -> dict[str, str]:
        env = {name: value for name, value in plain(*arguments).items() if name != NAME}
        return env | ({NAME: count} if count else {})

    process.environment = with_count
    try:
        with tempfile.TemporaryDirectory() as folder:
            record = harness.run([*overrides, f"seed={seed}", f"results.root={folder}"])
    finally:
        process.environment = plain
    return float(record.train_throughput or 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", default=["backend=torch", "cell=gru"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counts", nargs="*", default=COUNTS)
    options = parser.parse_args()
    overrides = [
        "data=digits",
        "mode=throughput",
        "measure.seconds=2",
        "measure.window_seconds=0.2",
        *options.overrides,
    ]
    for name, beside in (("quiet", nullcontext), ("one busy core", busy_core)):
        found: dict[str, list[float]] = {count: [] for count in options.counts}
        for seed in range(options.rounds):
            for count in options.counts:
                with beside():
                    found[count].append(throughput(overrides, count, seed))
        default = median(found[options.counts[0]])
        for count, values in found.items():
            each = ", ".join(f"{value:,.0f}" for value in values)
            print(f"{name}, {count or 'default'}: {median(values) / default:.2f} ({each})", flush=True)


if __name__ == "__main__":
    main()
