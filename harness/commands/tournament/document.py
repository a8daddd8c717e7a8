"""A tournament as JSON, with the raw windows."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.commands.tournament.result import Heat, Tournament
from harness.store import files


def write(tournaments: Sequence[tuple[str, Tournament]], path: Path) -> None:
    """Writes the tournaments of all groups, each with its group's name; raises OutputError if the file cannot
    be written."""
    groups = [{"group": group, **document(tournament)} for group, tournament in tournaments]
    content = json.dumps({"groups": groups}, indent=1, ensure_ascii=False) + "\n"
    files.write_output(path, content.encode(), "--output")


def document(tournament: Tournament) -> dict[str, Any]:
    """A tournament as plain data. Contenders are numbered from 0 in the order in which they are listed."""
    levels = tournament.levels()
    return {
        "started": tournament.started,
        "seed": tournament.seed,
        "contenders": [
            {"name": each.name, "config": each.config.to_mapping(), "threads": each.threads}
            for each in tournament.contenders
        ],
        "ranking": [
            {
                "contender": each.contender,
                "name": tournament.contenders[each.contender].name,
                "sequences_per_second": each.rate._asdict(),
                "of_the_fastest": each.ratio._asdict(),
                "letters": each.letters,
                "heats": each.heats,
                "dropped_after": tournament.dropped.get(each.contender),
            }
            for each in tournament.standings()
        ],
        "comparisons": [
            {"contenders": (a, b), "level": level, "ratio": tournament.ratio(a, b, level)._asdict()}
            for (a, b), level in ((sorted(pair), level) for pair, level in levels.items())
        ],
        "failures": {k: asdict(failure) for k, failure in tournament.failures.items()},
        "heats": [_heat(heat) for heat in tournament.heats],
        "rules": asdict(tournament.rules),
        "ended": tournament.ended,
        "timed_seconds": tournament.timed_seconds,
        "others_share_of_cores": tournament.others_share_of_cores,
        "idle_share": tournament.waiting_cpu_share,
        "environment": tournament.environment,
    }


def _heat(heat: Heat) -> dict[str, Any]:
    return {
        "started": heat.started,
        "start_order": heat.start_order,
        "start_seconds": heat.start_seconds,
        "properties": heat.properties,
        "orders": [list(durations) for durations in heat.rounds],
        "seconds": {k: [durations[k] for durations in heat.rounds_of(k)] for k in heat.properties},
        "contended": heat.contended.to_mapping() if heat.contended else None,
    }
