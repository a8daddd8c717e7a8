"""A contender that does more work than it says: `python -m tests.bench.slowed EVENTS_FD`.

It is `harness.commands.tournament.contender_session`, but a contender whose `logger.project` is SLOWER makes
an update more for every 1 / EXTRA that it is asked for. That key changes nothing else: contenders that differ
in it alone are the same.
"""

from dataclasses import replace
from typing import Any

from harness.commands.tournament import contender_session
from harness.commands.tournament.contender_loop import BuiltContender, serve

SLOWER = "slower"
EXTRA = 0.05


def build(job: dict[str, Any]) -> BuiltContender:
    built = contender_session.build(job)
    slower = job["config"]["logger"]["project"] == SLOWER
    return replace(built, run_updates=_More(built)) if slower else built


class _More:
    """Updates that cost EXTRA more than others; fractions of an update are made up for later."""

    def __init__(self, built: BuiltContender) -> None:
        self.run_updates, self.owed = built.run_updates, 0.0

    def __call__(self, count: int) -> float:
        self.owed += EXTRA * count
        more = int(self.owed)
        self.owed -= more
        return self.run_updates(count) + (self.run_updates(more) if more else 0.0)


if __name__ == "__main__":
    serve(build)
