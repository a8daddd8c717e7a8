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

from harness.commands.race.plan import RaceError
from harness.commands.race.result import Heat, Interval, Race
from harness.launcher.titles import title_of
from harness.store import files
from harness.text import one_line

CANNOT_TELL = "cannot tell"
IDLE_SHARE = 0.05  # of a core: a side that takes more while it waits disturbs the other
EVERY_HEAT = ("implementation", "kernel", "device", "device_name", "batch_size", "shape")  # the same in each


class Line:
    """The line that moves, on stderr; nothing where that is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

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
        width = race.ratio.half_width
        reached = "" if width is None else f", ± {width:.1%} of {race.precision:.1%}"
        spent = f"{race.timed_seconds:.0f} of at most {race.seconds_limit:.0f} s"
        at = f"heat {len(race.heats)}, round {len(race.heats[-1].seconds)}"
        self.say(f"{at}{reached}, {spent}: {sentence(race)}")


def names(race: Race) -> tuple[str, str]:
    """What the sides are called: as they were typed, or told apart where that is the same."""
    a, b = (one_line(side.text, 80) for side in race.sides)
    return (a, b) if a != b else (f"{a} (first)", f"{b} (second)")


def verdict(race: Race) -> str:
    """faster or slower where the whole interval says so."""
    found = race.ratio
    if found.low is None or found.high is None:
        return CANNOT_TELL
    return "faster" if found.low > 1 else "slower" if found.high < 1 else CANNOT_TELL


def sentence(race: Race) -> str:
    """`backend=torch is 1.22 times as fast as backend=numpy [1.20, 1.24]: faster`."""
    a, b = names(race)
    return f"{a} is {_between(race.ratio, '.3f', ' times as fast as ' + b)}: {verdict(race)}"


def render(race: Race) -> str:
    """What was found; there is at least one round."""
    lines = [sentence(race), "", _ended(race), ""]
    for which, name in enumerate(names(race)):
        config, every = race.sides[which].config, [heat.facts[which] for heat in race.heats]
        loss, gradient = (max(facts[f"parity_{of}"] for facts in every) for of in ("loss", "gradient"))
        lines.append(
            f"- {name}: {title_of(config)}, {every[0]['implementation']} ({every[0]['kernel']}) on "
            f"{every[0]['device']}, {race.sides[which].threads} threads; "
            f"{_between(race.rate(which), ',.0f', ' sequences/s')}; "
            f"distance from the reference: loss {loss:.0e}, gradient {gradient:.0e}"
        )
    return "\n".join([*lines, "", *_others(race)])


def _between(found: Interval, style: str, unit: str) -> str:
    text = f"{found.mean:{style}}{unit}"
    if found.low is None or found.high is None:
        return text
    return f"{text} [{found.low:{style}}, {found.high:{style}}]"


def _ended(race: Race) -> str:
    counted, width = len(race.counted), race.ratio.half_width
    known = f"± {width:.1%}" if width is not None else "none of a single heat"
    why = {
        "precise": f"within --precision {race.precision:g}",
        "time": f"--seconds {race.seconds_limit:g} are up",
        "stopped": "stopped",
        "failed": f"ended by a side: {race.failed}",
    }[race.ended]
    cores = ", ".join(map(str, race.environment["cores"]))
    heats = "1 heat" if counted == 1 else f"{counted} heats"
    return (
        f"{heats} of new processes each, {race.rounds} rounds of a window each, in turns on cores {cores}; "
        f"mean of the heats' ratios and its 95 % interval: {known}; {why}."
    )


def _others(race: Race) -> list[str]:
    said = []
    if race.others_share_of_cores is not None:
        said.append(f"Others took {race.others_share_of_cores:.0%} of the cores' time.")
    if any(each.verdict for each in race.contended):
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
        files.write_atomic(path, [(json.dumps(document(race), indent=1, ensure_ascii=False) + "\n").encode()])
    except OSError as error:
        raise RaceError(f"--output {path}: cannot be written ({error.strerror})") from error


def document(race: Race) -> dict[str, Any]:
    """Plain data."""
    return {
        "started": race.started,
        "sides": [
            {
                "text": side.text,
                "config": side.config.to_mapping(),
                "threads": side.threads,
                **{key: race.heats[0].facts[which][key] for key in EVERY_HEAT},
            }
            for which, side in enumerate(race.sides)
        ],
        "heats": [_heat(race, heat) for heat in race.heats],
        "ratio": race.ratio._asdict(),
        "half_width": race.ratio.half_width,
        "precision": race.precision,
        "verdict": verdict(race),
        "ended": race.ended,
        "failed": race.failed,
        "timed_seconds": race.timed_seconds,
        "others_share_of_cores": race.others_share_of_cores,
        "idle_share": race.idle_share,
        "environment": race.environment,
    }


def _heat(race: Race, heat: Heat) -> dict[str, Any]:
    sides = [
        {key: value for key, value in facts.items() if key not in EVERY_HEAT}
        | {"seconds": [each[which] for each in heat.seconds]}
        for which, facts in enumerate(heat.facts)
    ]
    return {
        "counts": heat in race.counted,
        "started": heat.started,
        "start_seconds": heat.start_seconds,
        "first": heat.first,
        "sides": sides,
        "ratio": heat.ratio if heat.seconds else None,
        "contended": asdict(heat.contended) if heat.contended else None,
    }
