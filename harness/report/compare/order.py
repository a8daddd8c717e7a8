"""When the runs of both sides were made: a machine that got slower or faster meanwhile must have met both."""

from collections.abc import Sequence

from harness.report.compare.pairing import Pair
from harness.report.compare.sides import RunSelection

WHY = (
    "all runs of one side were made before those of the other, and a machine that gets slower or faster in "
    "between looks like a difference: make both sides in one sweep, or use `python -m harness race`"
)


def apart(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether all runs that began at some moments came before all that began at others."""
    return max(one) < min(other) or max(other) < min(one)


def one_after_the_other(a: RunSelection, b: RunSelection, pairs: Sequence[Pair]) -> bool:
    """Whether all runs of one side began before all of the other: over all configurations, or in one of them
    that has several runs a side. Of two single runs one always comes first."""
    began = [(_began(a, each.a), _began(b, each.b)) for each in pairs]
    several = [sides for sides in began if min(map(len, sides)) > 1]
    everything = [[moment for side in sides for moment in side] for sides in zip(*began, strict=True)]
    return any(apart(one, other) for one, other in (*several, everything))


def when(a: RunSelection, b: RunSelection) -> list[str]:
    """When the runs of the sides began, where all of one did before all of the other: what the machine was
    busy with then is in the ratio, and in no interval."""
    began = [list(side.frame["started"]) for side in (a, b)]
    if not apart(*began):
        return []
    one, other = (f"{_minute(min(each))} to {_minute(max(each))}" for each in began)
    return [f"made one side after the other: {one} in {a.text}; {other} in {b.text}"]


def _began(side: RunSelection, runs: Sequence[Sequence[int]]) -> list[str]:
    began: list[str] = side.frame["started"].loc[[row for rows in runs for row in rows]].tolist()
    return began


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
