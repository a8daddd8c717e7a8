"""Does `python -m harness race` report no difference between a configuration and itself on a busy machine?

    python -m tests.bench.race
    python -m tests.bench.race --times 20 --seconds 30 --load 2 -- backend=torch cell=gru

Races one configuration against itself while other processes, one for each core, compute from time to time.
Counts how often the interval of the ratio contains 1, and how often it would have detected a side that is
1.05 times as fast: one whose ratios are the measured ones times 1.05.
"""

import argparse
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.measure import machine
from tests.bench.child import ROOT

TIMES, SECONDS, EFFECT = 20, 30.0, 1.05
SMALL = ("data=digits", "cell.hidden=64", "threads=1", "measure.window_seconds=0.1")
LONGEST_SECONDS = 2.0  # of computing or sleeping without a change


def disturb(seed: int) -> None:
    """Computes and sleeps in turns, forever."""
    rng = random.Random(seed)
    while True:
        until = time.perf_counter() + rng.uniform(0, LONGEST_SECONDS)
        while time.perf_counter() < until:
            sum(range(10_000))
        time.sleep(rng.uniform(0, LONGEST_SECONDS))


@contextmanager
def disturbed(count: int) -> Iterator[None]:
    """Runs so many disturbing processes meanwhile."""
    others = [multiprocessing.Process(target=disturb, args=(seed,), daemon=True) for seed in range(count)]
    for each in others:
        each.start()
    try:
        yield
    finally:
        for each in others:
            each.terminate()
            each.join()


def race(overrides: Sequence[str], seconds: float, output: Path) -> dict[str, Any]:
    """The result of a race of a configuration against itself."""
    command = [sys.executable, "-m", "harness", "race", overrides[0], overrides[0], *overrides[1:]]
    limits = [f"--seconds={seconds}", f"--output={output}"]
    subprocess.run([*command, *limits], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return dict(json.loads(output.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.race",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", default=["backend=numpy"])
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the longest time of one race")
    parser.add_argument(
        "--load", type=int, default=len(machine.cores()), help="number of disturbing processes"
    )
    args = parser.parse_args()
    print("| race | heats | rounds | ratio | interval | ended | others' share of the cores | contains 1 |")
    print("|---:|---:|---:|---:|---|---|---:|---|")
    covered = detected = 0
    with tempfile.TemporaryDirectory() as place, disturbed(args.load):
        for k in range(args.times):
            result = race([*args.overrides, *SMALL], args.seconds, Path(place) / "race.json")
            ratio, share = result["ratio"], result["others_share_of_cores"]
            if ratio["low"] is None:
                raise SystemExit(f"--seconds {args.seconds:g} is one heat, which has no interval")
            contains = ratio["low"] <= 1 <= ratio["high"]
            covered += contains
            detected += ratio["low"] * EFFECT > 1
            print(
                f"| {k + 1} | {sum(heat['counts'] for heat in result['heats'])} | "
                f"{sum(len(heat['first']) for heat in result['heats'])} | {ratio['mean']:.3f} | "
                f"[{ratio['low']:.3f}, {ratio['high']:.3f}] | {result['ended']} | "
                f"{'–' if share is None else f'{share:.0%}'} | {'yes' if contains else 'no'} |",
                flush=True,
            )
    print(
        f"\nThe interval contains 1 in {covered} of {args.times}; {EFFECT} would be detected in {detected}."
    )


if __name__ == "__main__":
    main()
