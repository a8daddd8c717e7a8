"""The command `race`: checks its options, runs the race, prints and stores the result."""

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.commands.race import render
from harness.commands.race.plan import plan
from harness.commands.tournament import competition
from harness.commands.tournament.result import Rules
from harness.store import files


def main(a: str, b: str, common: Sequence[str], precision: float, limit: float, output: Path | None) -> int:
    """Returns the exit status: 0 for a complete race, 1 if a side failed, 130 if interrupted. Raises
    HarnessError for a race that cannot start."""
    competition.check_limits(precision, limit)
    if output is not None:
        files.check_output(output, "--output")
    race = competition.tournament(plan(a, b, common), Rules(precision, limit))
    status = competition.compete(race, render.progress_line)
    if not race.round_count:
        return status
    sys.stdout.write(render.render(race) + "\n")
    if output is not None:
        render.write(race, output)
    for k in race.failures:
        sys.stderr.write(f"{competition.failure_line(race, k)}\n")
    return status
