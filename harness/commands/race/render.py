"""Shows a race: a line of progress, the result as text, and everything as JSON."""

import json
from pathlib import Path
from typing import Any

from harness.commands.tournament.competition import failure_line
from harness.commands.tournament.interference import interference
from harness.commands.tournament.result import Heat, Tournament
from harness.launcher.titles import title_of
from harness.store import files
from harness.text import one_line

CANNOT_TELL = "cannot tell"
SIDES = (0, 1)
SIDE_PROPERTIES = ("implementation", "kernel", "device", "device_name", "batch_size", "shape")  # of all heats


def progress_line(race: Tournament) -> str:
    """The result so far, after a round."""
    width = race.ratio(*SIDES).half_width
    reached = "" if width is None else f", ± {width:.1%} of {race.rules.precision:.1%}"
    spent = f"{race.timed_seconds:.0f} of at most {race.rules.seconds:.0f} s"
    position = f"heat {len(race.heats)}, round {len(race.heats[-1].rounds)}"
    return f"{position}{reached}, {spent}: {sentence(race)}"


def side_names(race: Tournament) -> tuple[str, str]:
    """The sides as they were typed, numbered if both are the same."""
    a, b = (one_line(side.name, 80) for side in race.contenders)
    return (a, b) if a != b else (f"{a} (first)", f"{b} (second)")


def verdict(race: Tournament) -> str:
    """`faster` or `slower` if the whole interval is above or below 1, else `cannot tell`."""
    ratio = race.ratio(*SIDES)
    if ratio.low is None or ratio.high is None:
        return CANNOT_TELL
    return "faster" if ratio.low > 1 else "slower" if ratio.high < 1 else CANNOT_TELL


def sentence(race: Tournament) -> str:
    """`backend=torch is 1.22 times as fast as backend=numpy [1.20, 1.24]: faster`."""
    a, b = side_names(race)
    return f"{a} is {race.ratio(*SIDES).with_interval('.3f', ' times as fast as ' + b)}: {verdict(race)}"


def render(race: Tournament) -> str:
    """The result as text. Needs at least one round."""
    lines = [sentence(race), "", _extent(race), ""]
    for index, name in enumerate(side_names(race)):
        side = race.contenders[index]
        heats = [heat.properties[index] for heat in race.heats if index in heat.properties]
        loss, gradient = (max(heat[f"parity_{part}"] for heat in heats) for part in ("loss", "gradient"))
        lines.append(
            f"- {name}: {title_of(side.config)}, {heats[0]['implementation']} ({heats[0]['kernel']}) on "
            f"{heats[0]['device']}, {side.threads} threads; "
            f"{race.rate(index).with_interval(',.0f', ' sequences/s')}; "
            f"distance from the reference: loss {loss:.0e}, gradient {gradient:.0e}"
        )
    return "\n".join([*lines, "", *interference(race)])


def _extent(race: Tournament) -> str:
    """How many heats and rounds there were, how wide the interval is, and why the race ended."""
    count, width = len(race.counted_heats(*SIDES)), race.ratio(*SIDES).half_width
    interval = f"± {width:.1%}" if width is not None else "unknown from a single heat"
    failures = "; ".join(failure_line(race, k) for k in race.failures)
    reason = {
        "precise": f"within --precision {race.rules.precision:g}",
        "time": f"--seconds {race.rules.seconds:g} are over",
        "stopped": "stopped",
        "failed": f"a side failed: {failures}",
    }[race.ended]
    cores = ", ".join(map(str, race.environment["cores"]))
    heats = "1 heat" if count == 1 else f"{count} heats"
    return (
        f"{heats} with new processes each, {race.round_count} rounds with a window of each side, alternating "
        f"on cores {cores}; mean of the heats' ratios, 95 % interval {interval}; {reason}."
    )


def write(race: Tournament, path: Path) -> None:
    """Writes everything with the raw windows as JSON; raises OutputError if the file cannot be written."""
    content = json.dumps(document(race), indent=1, ensure_ascii=False) + "\n"
    files.write_output(path, content.encode(), "--output")


def document(race: Tournament) -> dict[str, Any]:
    """The race as plain data."""
    return {
        "started": race.started,
        "sides": [
            {
                "text": side.name,
                "config": side.config.to_mapping(),
                "threads": side.threads,
                **{name: race.heats[0].properties[index][name] for name in SIDE_PROPERTIES},
            }
            for index, side in enumerate(race.contenders)
        ],
        "heats": [_heat_document(race, heat) for heat in race.heats],
        "ratio": race.ratio(*SIDES)._asdict(),
        "half_width": race.ratio(*SIDES).half_width,
        "precision": race.rules.precision,
        "verdict": verdict(race),
        "ended": race.ended,
        "failed": "; ".join(failure_line(race, k) for k in race.failures) or None,
        "seed": race.seed,
        "timed_seconds": race.timed_seconds,
        "others_share_of_cores": race.others_share_of_cores,
        "idle_share": race.waiting_cpu_share,
        "environment": race.environment,
    }


def _heat_document(race: Tournament, heat: Heat) -> dict[str, Any]:
    rounds = heat.rounds_of(*SIDES)
    sides = [
        {name: value for name, value in heat.properties.get(index, {}).items() if name not in SIDE_PROPERTIES}
        | {"seconds": [durations[index] for durations in rounds]}
        for index in SIDES
    ]
    return {
        "counts": heat in race.counted_heats(*SIDES),
        "started": heat.start_order,
        "start_seconds": heat.start_seconds,
        "first": [next(iter(durations)) for durations in rounds],
        "sides": sides,
        "ratio": heat.ratio(*SIDES) if rounds else None,
        "contended": heat.contended.to_mapping() if heat.contended else None,
    }
