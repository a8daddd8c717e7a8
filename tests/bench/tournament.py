"""Does `python -m harness tournament` call alike what is alike, and find what is 5 % slower?

    python -m tests.bench.tournament                 # both, 20 times each, while others compute
    python -m tests.bench.tournament --times 5 --seconds 300 --load 0 --only alike
    python -m tests.bench.tournament --simulated     # the rule alone, on processes drawn at random

Four contenders of one configuration compete; then five, of which one really makes 5 % more updates than it
says. Counts how often the four share a letter, and how often the slow one is told apart from the leader.
"""

import argparse
import contextlib
from collections.abc import Callable, Sequence
from unittest import mock

import numpy as np

from harness.commands.tournament import competition, rounds
from harness.commands.tournament.command import LEVEL, ROUNDS
from harness.commands.tournament.plan import plan
from harness.commands.tournament.result import Rules, Tournament
from harness.measure import machine
from tests.bench.race import SMALL, disturbed
from tests.bench.slowed import EXTRA, SLOWER
from tests.support.tournaments import DEVIATION, alike, simulate

TIMES, SECONDS, PRECISION = 20, 600.0, 0.02
SIMULATIONS, HEATS = 2000, 12
ALIKE = ("first", "second", "third", "fourth")


def play(names: Sequence[str], overrides: Sequence[str], seconds: float) -> Tournament:
    """A tournament of one configuration under several names; one that is called SLOWER is slower."""
    (group,) = plan([*overrides, f"logger.project={','.join(names)}", *SMALL])
    rules = Rules(PRECISION, seconds, ROUNDS, drop_out=True, level=LEVEL)
    played = competition.tournament(group.contenders, rules)
    with mock.patch.object(rounds, "MODULE", "tests.bench.slowed"):
        rounds.run(played, lambda text: None, lambda now: None)
    return played


def found(played: Tournament) -> bool:
    """Whether the last contender is told apart from the leader."""
    standings = played.standings()
    (slow,) = (each for each in standings if each.contender == len(standings) - 1)
    return not slow.shares_letter(standings[0])


def real(
    kind: str, names: Sequence[str], good: Callable[[Tournament], bool], args: argparse.Namespace
) -> None:
    print(f"\n| {kind} | heats | rounds | windows | letters | ended | others' share of the cores | found |")
    print("|---:|---:|---:|---:|---|---|---:|---|")
    times = 0
    for k in range(args.times):
        played = play(names, args.overrides, args.seconds)
        share = played.others_share_of_cores
        letters = {each.contender: each.letters for each in played.standings()}
        times += good(played)
        print(
            f"| {k + 1} | {len(played.heats)} | {played.round_count} | {played.timed_seconds:.0f} s | "
            f"{' '.join(letters[c] for c in sorted(letters))} | {played.ended} | "
            f"{'–' if share is None else f'{share:.0%}'} | {'yes' if good(played) else 'no'} |",
            flush=True,
        )
    print(f"\n{kind}: {times} of {args.times}.")


def simulated() -> None:
    rules = Rules(PRECISION, SECONDS, ROUNDS, drop_out=True, level=LEVEL)
    rng = np.random.default_rng(0)
    print(f"| processes deviate by | one in ten 5 % slower | contenders | called alike | {EXTRA:.0%} found |")
    print("|---:|---|---:|---:|---:|")
    for slow_share in (0.0, 0.1):
        for count in (2, 4, 5, 13):
            times = SIMULATIONS // (10 if count == 13 else 1)
            same = [simulate([1.0] * count, rules, HEATS, rng, slow_share=slow_share) for _ in range(times)]
            speeds = [1.0] * (count - 1) + [1 / (1 + EXTRA)]
            slower = [simulate(speeds, rules, HEATS, rng, slow_share=slow_share) for _ in range(times)]
            print(
                f"| {DEVIATION:.1%} | {'yes' if slow_share else 'no'} | {count} | "
                f"{np.mean(list(map(alike, same))):.1%} | {np.mean(list(map(found, slower))):.1%} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.tournament",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", default=["backend=numpy"])
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the longest that windows are timed")
    parser.add_argument("--load", type=int, default=len(machine.cores()), help="number of other processes")
    parser.add_argument("--only", choices=("alike", "slower"))
    parser.add_argument("--simulated", action="store_true", help="draw heats at random instead")
    args = parser.parse_args()
    if args.simulated:
        simulated()
        return
    with disturbed(args.load) if args.load else contextlib.nullcontext():
        if args.only != "slower":
            real("alike", ALIKE, alike, args)
        if args.only != "alike":
            real("slower", (*ALIKE, SLOWER), found, args)


if __name__ == "__main__":
    main()
