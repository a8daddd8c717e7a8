"""Shows a race: a line of progress, the result as text, and everything as JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.commands.race.result import GeometricMean, Heat, Race
from harness.launcher.titles import title_of
from harness.store import files
from harness.text import one_line

CANNOT_TELL = "cannot tell"
WARNING_CPU_SHARE = 0.05  # of a core: a waiting side that uses more disturbs the other
SIDE_PROPERTIES = ("implementation", "kernel", "device", "device_name", "batch_size", "shape")  # of all heats


class ProgressLine:
    """One line on stderr that is updated in place; nothing is shown if stderr is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

    @contextmanager
    def open(self) -> Iterator["ProgressLine"]:
        if self.live is None:
            yield self
            return
        with self.live:
            yield self

    def show(self, text: str) -> None:
        if self.live:
            self.live.update(Text(one_line(text), no_wrap=True, overflow="ellipsis"), refresh=True)

    def show_progress(self, race: Race) -> None:
        """Shows the result so far, after each round."""
        width = race.ratio.half_width
        reached = "" if width is None else f", ± {width:.1%} of {race.precision:.1%}"
        spent = f"{race.timed_seconds:.0f} of at most {race.seconds_limit:.0f} s"
        position = f"heat {len(race.heats)}, round {len(race.heats[-1].seconds)}"
        self.show(f"{position}{reached}, {spent}: {sentence(race)}")


def side_names(race: Race) -> tuple[str, str]:
    """The sides as they were typed, numbered if both are the same."""
    a, b = (one_line(side.text, 80) for side in race.sides)
    return (a, b) if a != b else (f"{a} (first)", f"{b} (second)")


def verdict(race: Race) -> str:
    """`faster` or `slower` if the whole interval is above or below 1, else `cannot tell`."""
    ratio = race.ratio
    if ratio.low is None or ratio.high is None:
        return CANNOT_TELL
    return "faster" if ratio.low > 1 else "slower" if ratio.high < 1 else CANNOT_TELL


def sentence(race: Race) -> str:
    """`backend=torch is 1.22 times as fast as backend=numpy [1.20, 1.24]: faster`."""
    a, b = side_names(race)
    return f"{a} is {_with_interval(race.ratio, '.3f', ' times as fast as ' + b)}: {verdict(race)}"


def render(race: Race) -> str:
    """The result as text. Needs at least one round."""
    lines = [sentence(race), "", _extent(race), ""]
    for index, name in enumerate(side_names(race)):
        side, heats = race.sides[index], [heat.properties[index] for heat in race.heats]
        loss, gradient = (max(heat[f"parity_{part}"] for heat in heats) for part in ("loss", "gradient"))
        lines.append(
            f"- {name}: {title_of(side.config)}, {heats[0]['implementation']} ({heats[0]['kernel']}) on "
            f"{heats[0]['device']}, {side.threads} threads; "
            f"{_with_interval(race.rate(index), ',.0f', ' sequences/s')}; "
            f"distance from the reference: loss {loss:.0e}, gradient {gradient:.0e}"
        )
    return "\n".join([*lines, "", *_interference(race)])


def _with_interval(mean: GeometricMean, style: str, unit: str) -> str:
    text = f"{mean.mean:{style}}{unit}"
    if mean.low is None or mean.high is None:
        return text
    return f"{text} [{mean.low:{style}}, {mean.high:{style}}]"


def _extent(race: Race) -> str:
    """How many heats and rounds there were, how wide the interval is, and why the race ended."""
    count, width = len(race.counted_heats), race.ratio.half_width
    interval = f"± {width:.1%}" if width is not None else "unknown from a single heat"
    reason = {
        "precise": f"within --precision {race.precision:g}",
        "time": f"--seconds {race.seconds_limit:g} are over",
        "stopped": "stopped",
        "failed": f"a side failed: {race.failure}",
    }[race.ended]
    cores = ", ".join(map(str, race.environment["cores"]))
    heats = "1 heat" if count == 1 else f"{count} heats"
    return (
        f"{heats} with new processes each, {race.round_count} rounds with a window of each side, alternating "
        f"on cores {cores}; mean of the heats' ratios, 95 % interval {interval}; {reason}."
    )


def _interference(race: Race) -> list[str]:
    lines = []
    if race.others_share_of_cores is not None:
        lines.append(f"Other processes took {race.others_share_of_cores:.0%} of the cores' time.")
    if any(contention.contended for contention in race.contended):
        lines.append(
            "Other processes used the cores, or a CPU quota withheld them, during windows of both sides, "
            "which may slow one side more than the other; fewer threads reduce this."
        )
    if race.waiting_cpu_share is not None and race.waiting_cpu_share > WARNING_CPU_SHARE:
        lines.append(
            f"**Warning:** the waiting side used {race.waiting_cpu_share:.0%} of a core, which disturbed the "
            "other."
        )
    return lines


def write(race: Race, path: Path) -> None:
    """Writes everything with the raw windows as JSON; raises OutputError if the file cannot be written."""
    content = json.dumps(document(race), indent=1, ensure_ascii=False) + "\n"
    files.write_output(path, content.encode(), "--output")


def document(race: Race) -> dict[str, Any]:
    """The race as plain data."""
    return {
        "started": race.started,
        "sides": [
            {
                "text": side.text,
                "config": side.config.to_mapping(),
                "threads": side.threads,
                **{name: race.heats[0].properties[index][name] for name in SIDE_PROPERTIES},
            }
            for index, side in enumerate(race.sides)
        ],
        "heats": [_heat_document(race, heat) for heat in race.heats],
        "ratio": race.ratio._asdict(),
        "half_width": race.ratio.half_width,
        "precision": race.precision,
        "verdict": verdict(race),
        "ended": race.ended,
        "failed": race.failure,
        "timed_seconds": race.timed_seconds,
        "others_share_of_cores": race.others_share_of_cores,
        "idle_share": race.waiting_cpu_share,
        "environment": race.environment,
    }


def _heat_document(race: Race, heat: Heat) -> dict[str, Any]:
    sides = [
        {name: value for name, value in properties.items() if name not in SIDE_PROPERTIES}
        | {"seconds": [durations[index] for durations in heat.seconds]}
        for index, properties in enumerate(heat.properties)
    ]
    return {
        "counts": heat in race.counted_heats,
        "started": heat.start_order,
        "start_seconds": heat.start_seconds,
        "first": heat.first,
        "sides": sides,
        "ratio": heat.ratio if heat.seconds else None,
        "contended": asdict(heat.contended) if heat.contended else None,
    }
