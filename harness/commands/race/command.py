"""The command `race`: checks its options, runs the race, prints and stores the result."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.commands.race import render, rounds
from harness.commands.race.plan import RaceError, plan
from harness.commands.race.result import Race
from harness.commands.race.side_process import SideFailed
from harness.store import files

INTERRUPTED = 130


def main(a: str, b: str, common: Sequence[str], precision: float, limit: float, output: Path | None) -> int:
    """Returns the exit status: 0 for a complete race, 1 if a side failed, 130 if interrupted. Raises
    HarnessError for a race that cannot start."""
    for option, value in (("--precision", precision), ("--seconds", limit)):
        if not value > 0:
            raise RaceError(f"{option} {value:g}: must be above 0")
    if output is not None:
        files.check_output(output, "--output")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    race = Race(plan(a, b, common), precision, limit)
    try:
        with render.ProgressLine().open() as line:
            rounds.run(race, line.show, line.show_progress)
    except SideFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped before anything was measured\n")
        return INTERRUPTED
    sys.stdout.write(render.render(race) + "\n")
    if output is not None:
        render.write(race, output)
    if race.failure:
        sys.stderr.write(f"{race.failure}\n")
    return {"failed": 1, "stopped": INTERRUPTED}.get(race.ended, 0)
