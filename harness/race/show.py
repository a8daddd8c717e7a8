"""A race in words: a line that moves while it goes on, what was found, and all of it as JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness import files
from harness.measure.clock import seconds
from harness.measure.statistics import Estimate, estimate
from harness.progress import title_of
from harness.race.course import LEVEL, Race
from harness.race.plan import RaceError
from harness.words import one_line

CANNOT_TELL = "cannot tell"
IDLE_SHARE = 0.05  # of a core: a side that takes more while it waits disturbs the other


class Line:
    """The line that moves, on stderr; nothing where that is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self.start: float | None = None

    @contextmanager
    def shown(self) -> Iterator["Line"]:
        if self.live is None:
            yield self
            return
        with self.live:
            yield self

    def say(self, text: str) -> None:
        if self.live:
            self.live.update(Text(one_line(text), no_wrap=True, overflow="ellipsis"), refresh=True)

    def told(self, race: Race) -> None:
        """After a round."""
        self.start = self.start or seconds()
        width = race.half_width
        reached = "" if width is None else f", ± {width:.1%} of {race.precision:.1%}"
        spent = f"{seconds() - self.start:.0f} of at most {race.seconds_limit:.0f} s"
        self.say(f"round {len(race.seconds)}{reached}, {spent}: {sentence(race)}")


def names(race: Race) -> tuple[str, str]:
    """What the sides are called: as they were typed, or told apart where that is the same."""
    a, b = (one_line(side.text, 80) for side in race.sides)
    return (a, b) if a != b else (f"{a} (first)", f"{b} (second)")


def verdict(race: Race) -> str:
    """faster or slower where the whole interval says so."""
    found = race.ratio
    if found is None or found.coverage < LEVEL:
        return CANNOT_TELL
    return "faster" if found.low > 1 else "slower" if found.high < 1 else CANNOT_TELL


def sentence(race: Race) -> str:
    """`backend=torch is 1.22 times as fast as backend=numpy [1.20, 1.24]: faster`."""
    a, b = names(race)
    found = race.ratio
    assert found is not None  # there is a round
    between = "" if found.coverage < LEVEL else f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{a} is {found.median:.3f} times as fast as {b}{between}: {verdict(race)}"


def render(race: Race) -> str:
    """What was found; there is at least one round."""
    lines = [sentence(race), "", _ended(race), ""]
    for which, name in enumerate(names(race)):
        facts, config = race.facts[which], race.sides[which].config
        distance = f"loss {facts['parity_loss']:.0e}, gradient {facts['parity_gradient']:.0e}"
        lines.append(
            f"- {name}: {title_of(config)}, {facts['implementation']} ({facts['kernel']}) on "
            f"{facts['device']}, {race.sides[which].threads} threads; {_rate(estimate(race.rates(which)))}; "
            f"distance from the reference: {distance}"
        )
    return "\n".join([*lines, "", *_others(race)])


def _rate(found: Estimate) -> str:
    return f"{found.median:,.0f} sequences/s [{found.low:,.0f}, {found.high:,.0f}]"


def _ended(race: Race) -> str:
    rounds, width = len(race.seconds), race.half_width
    known = f"± {width:.1%}" if width is not None else "too few for an interval"
    why = {
        "precise": f"within --precision {race.precision:g}",
        "time": f"--seconds {race.seconds_limit:g} are up",
        "stopped": "stopped",
        "failed": f"ended by a side: {race.failed}",
    }[race.ended]
    cores = ", ".join(map(str, race.environment["cores"]))
    return (
        f"{rounds} rounds of a window each, in turns on cores {cores}; "
        f"median of the rounds' ratios and its 95 % interval, {known}; {why}."
    )


def _others(race: Race) -> list[str]:
    said = []
    found = race.contended
    if found and found.others_share_of_cores is not None:
        said.append(f"Others took {found.others_share_of_cores:.0%} of the cores' time.")
    if found and found.verdict:
        said.append(
            "Others used the cores: both sides met them, but need not suffer alike; fewer threads do less."
        )
    if race.idle_share is not None and race.idle_share > IDLE_SHARE:
        said.append(
            f"**Warning:** a side that waited used {race.idle_share:.0%} of a core, and disturbed the other."
        )
    return said


def write(race: Race, path: Path) -> None:
    """Everything, with the raw windows, as JSON; raises RaceError where that cannot be written."""
    try:
        files.write(path, [(json.dumps(document(race), indent=1, ensure_ascii=False) + "\n").encode()])
    except OSError as error:
        raise RaceError(f"--output {path}: cannot be written ({error.strerror})") from error


def document(race: Race) -> dict[str, Any]:
    """Plain data."""
    found = race.ratio
    assert found is not None
    return {
        "started": race.started,
        "sides": [
            {
                "text": side.text,
                "config": side.config.to_mapping(),
                "threads": side.threads,
                **race.facts[which],
                "seconds": [each[which] for each in race.seconds],
            }
            for which, side in enumerate(race.sides)
        ],
        "first": race.orders,
        "ratio": found._asdict(),
        "half_width": race.half_width,
        "precision": race.precision,
        "verdict": verdict(race),
        "ended": race.ended,
        "failed": race.failed,
        "contended": asdict(race.contended) if race.contended else None,
        "idle_share": race.idle_share,
        "environment": race.environment,
    }
