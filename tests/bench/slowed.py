"""A contender that does more work than it says: `python -m tests.bench.slowed EVENTS_FD`.

It is `harness.commands.tournament.contender_session`, but the contender with SLOW_SEED makes an update more
for every 1 / EXTRA that it is asked for.
"""

from dataclasses import replace
from typing import Any

from harness.commands.tournament import contender_session
from harness.commands.tournament.contender_loop import BuiltContender, serve

SLOW_SEED = 4
EXTRA = 0.05


def build(job: dict[str, Any]) -> BuiltContender:
    built = contender_session.build(job)
    return replace(built, run_updates=_More(built)) if job["config"]["seed"] == SLOW_SEED else built


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
