"""How long PyTorch's threads should spin at a barrier before they sleep: `python -m tests.bench.spinning`.

Times training with several values of GOMP_SPINCOUNT in turns, on a quiet machine and beside a process that
keeps one core busy; last with that which a run chooses. Prints medians, and their ratios to the default of
libgomp on the quiet machine.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import harness
from harness.launcher import process
from tests.support.children import sabotaged

DEFAULT = "300000"
COUNTS = (DEFAULT, "100000", "10000", "3000", "1000", "300", "chosen")
FORCED = "import harness.runner.spinning as spinning; spinning.ALONE = spinning.SHARED = '{count}'"


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
    with tempfile.TemporaryDirectory() as folder:
        more = {} if count == "chosen" else sabotaged(Path(folder), FORCED.format(count=count))

        def with_count(*arguments: Any) -> dict[str, str]:
            return plain(*arguments) | more

        process.environment = with_count
        try:
            record = harness.run([*overrides, f"seed={seed}", f"results.root={folder}/results"])
        finally:
            process.environment = plain
    return float(record.train_throughput or 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", default=["backend=torch", "cell=gru"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counts", nargs="*", default=COUNTS)
    options = parser.parse_args()
    short = ["data=digits", "mode=throughput", "measure.seconds=2", "measure.window_seconds=0.2"]
    quiet = 0.0
    for name, beside in (("quiet", nullcontext), ("one busy core", busy_core)):
        found: dict[str, list[float]] = {count: [] for count in options.counts}
        for seed in range(options.rounds):
            for count in options.counts:
                with beside():
                    found[count].append(throughput([*short, *options.overrides], count, seed))
        quiet = quiet or median(found[options.counts[0]])
        for count, values in found.items():
            each = ", ".join(f"{value:,.0f}" for value in values)
            print(f"{name}, {count}: {median(values) / quiet:.3f} ({each})", flush=True)


if __name__ == "__main__":
    main()
