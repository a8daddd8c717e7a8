"""`python -m harness race`: from what was typed to what is said."""

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
    """Exit status: 0 raced to its end, 1 a side failed, 130 stopped. Raises HarnessError for what cannot
    start."""
    for option, value in (("--precision", precision), ("--seconds", limit)):
        if not value > 0:
            raise RaceError(f"{option} {value:g}: must be above 0")
    if output is not None and (why := files.write_problem(output)):
        raise RaceError(f"--output {output}: {why}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    race = Race(plan(a, b, common), precision, limit)
    try:
        with render.Line().shown() as line:
            rounds.run(race, line.say, line.told)
    except SideFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was measured\n")
        return INTERRUPTED
    sys.stdout.write(render.render(race) + "\n")
    if output is not None:
        render.write(race, output)
    if race.failed:
        sys.stderr.write(f"{race.failed}\n")
    return {"failed": 1, "stopped": INTERRUPTED}.get(race.ended, 0)
