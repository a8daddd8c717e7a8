"""The process of one side: `python -m tests.bench.side EVENTS_FD`, see
`harness.commands.tournament.contender_loop`."""

from importlib import import_module
from typing import Any

from harness.commands.tournament.contender_loop import BuiltContender, serve
from harness.measure.clock import seconds
from tests.bench.task import Side, Task


def build(job: dict[str, Any]) -> BuiltContender:
    """The side of that name, for a task."""
    module = import_module(f"tests.bench.sides.{job['side']}")
    side: Side = module.open_side(Task(**job["task"]), **job["parameters"])

    def work(updates: int) -> float:
        start = seconds()
        side.window(updates)
        return seconds() - start

    return BuiltContender(work, side.least, {"flops_per_update": side.flops, "facts": dict(side.facts)})


if __name__ == "__main__":
    serve(build)
