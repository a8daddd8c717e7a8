"""Does `python -m harness race` of a configuration against itself say so, on a machine that others use?

    python -m tests.bench.race
    python -m tests.bench.race --times 20 --seconds 30 --load 2 -- backend=torch cell=gru

Races one configuration against itself, while so many processes (as many as there are cores) compute now and
then on any core, and counts how often the interval of the ratio contains 1; and how often it would have told
a side that is 1.05 times as fast, whose ratios are those times 1.05.
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
LONGEST_SECONDS = 2.0  # that a disturber computes or sleeps at once


def disturb(seed: int) -> None:
    """Computes and sleeps by turns."""
    rng = random.Random(seed)
    while True:
        until = time.perf_counter() + rng.uniform(0, LONGEST_SECONDS)
        while time.perf_counter() < until:
            sum(range(10_000))
        time.sleep(rng.uniform(0, LONGEST_SECONDS))


@contextmanager
def loaded(count: int) -> Iterator[None]:
    """A machine on which so many others compute."""
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
    """What a race of a configuration against itself found."""
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
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the longest that one race is timed")
    parser.add_argument("--load", type=int, default=len(machine.cores()), help="others that compute")
    args = parser.parse_args()
    print("| race | heats | rounds | ratio | interval | ended | others' share of the cores | contains 1 |")
    print("|---:|---:|---:|---:|---|---|---:|---|")
    right = told = 0
    with tempfile.TemporaryDirectory() as place, loaded(args.load):
        for k in range(args.times):
            found = race([*args.overrides, *SMALL], args.seconds, Path(place) / "race.json")
            ratio, share = found["ratio"], found["others_share_of_cores"]
            if ratio["low"] is None:
                raise SystemExit(f"--seconds {args.seconds:g} are one heat, which has no interval")
            contains = ratio["low"] <= 1 <= ratio["high"]
            right += contains
            told += ratio["low"] * EFFECT > 1
            print(
                f"| {k + 1} | {sum(heat['counts'] for heat in found['heats'])} | "
                f"{sum(len(heat['first']) for heat in found['heats'])} | {ratio['mean']:.3f} | "
                f"[{ratio['low']:.3f}, {ratio['high']:.3f}] | {found['ended']} | "
                f"{'–' if share is None else f'{share:.0%}'} | {'yes' if contains else 'no'} |",
                flush=True,
            )
    print(f"\nThe interval contains 1 in {right} of {args.times}; {EFFECT} would be told in {told}.")


if __name__ == "__main__":
    main()
