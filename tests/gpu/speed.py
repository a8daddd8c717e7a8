"""Stage: sessions of the harness and bare loops, window by window, in turns.

A side is a process that takes every task of the list in turn, so that a framework is imported once. All
sides of a task are built at the same time, then calibrated one by one, then timed in turns as
`tests.bench.compare` does. What was found is written after every task; tasks for which no time is left are
named.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.commands.tournament.contender_process import ContenderFailed, ContenderProcess
from harness.config import catalogue
from harness.launcher.lease import Lease, lease
from harness.measure import machine
from harness.measure.clock import now
from harness.measure.clock import seconds as clock
from harness.measure.devices import candidate_gpus, thread_count
from tests.bench.child import environment, parse
from tests.bench.compare import take_turns, with_estimates
from tests.bench.task import Task
from tests.gpu.prepared import ROOT
from tests.gpu.stages import Job, job

FILE = "speed.json"
ROUNDS, WINDOW_SECONDS = 8, 0.05
EPOCH, QUICK_EPOCH = 27_520, 64  # sequences in memory, half of MNIST, whatever the batch size
BUILD_SECONDS = 75.0  # for all sides of a task at once, compilers among them
ANSWER_SECONDS = 60.0  # for what is no compiling
FUSED = "session:backend=torch,implementation=fused"
EAGER, GRAPH = "torch_loop", "torch_graph"
JAX = "session:backend=keras,engine=jax,implementation={}"
KERAS_TORCH = "session:backend=keras,engine=torch,implementation={}"
TORCH = "session:backend=torch,implementation={}"
SIDES = (
    *(FUSED, EAGER, GRAPH, TORCH.format("loop"), JAX.format("fused"), KERAS_TORCH.format("fused")),
    *(f"{FUSED},precision={each}" for each in ("bfloat16", "tf32", "float16")),
    *(f"{name}:precision={each}" for each in ("bfloat16", "tf32") for name in (EAGER, GRAPH)),
    f"{EAGER}:precision=float16",
)
COMPILED = (FUSED, GRAPH, *(each.format("compiled") for each in (TORCH, JAX, KERAS_TORCH)))


@dataclass(frozen=True)
class Comparison:
    """A model at a batch size, and who computes it; the first side is compared with each other one."""

    cell: str
    hidden: int
    batch: int
    sides: tuple[str, ...] = SIDES

    @property
    def name(self) -> str:
        return f"{self.cell}-{self.hidden}, batch {self.batch:,}"


COMPARISONS = (  # in the order of importance
    Comparison("lstm", 128, 128),
    Comparison("lstm", 1024, 1024),
    Comparison("gru", 128, 128),
    Comparison("rnn", 128, 128),
    Comparison("lstm", 128, 128, COMPILED),
    Comparison("gru", 1024, 1024),
    Comparison("rnn", 1024, 1024),
    Comparison("lstm", 128, 1024),
    Comparison("lstm", 1024, 128),
    Comparison("gru", 128, 1024),
    Comparison("rnn", 128, 1024),
    Comparison("gru", 1024, 128),
    Comparison("rnn", 1024, 128),
    Comparison("gru", 128, 128, COMPILED),
    Comparison("rnn", 128, 128, COMPILED),
)
QUICK_SIDES = (FUSED, EAGER, GRAPH, KERAS_TORCH.format("fused"), f"{EAGER}:precision=bfloat16")
QUICK = tuple(Comparison(cell, 8, 16, QUICK_SIDES) for cell in ("lstm", "rnn"))


class SideProcess(ContenderProcess):
    """A side that is asked for one task after the other; use as a context."""

    def __init__(self, text: str, held: Lease) -> None:
        side = parse(text)
        job = {"side": side.name, "parameters": side.parameters, "cores": list(held.cores)}
        super().__init__("tests.gpu.side", job, environment(side, held), cwd=ROOT)

    def ask(self, do: str, **request: Any) -> None:
        self._send(json.dumps({"do": do, **request}))

    def answer(self, within: float) -> dict[str, Any]:
        """The answer to the last request; raises ContenderFailed for an error, a death and a silence."""
        self.timeout_seconds = max(within, 0.1)
        found = self._receive()
        if "error" in found:
            raise ContenderFailed(found["error"], "failed")
        return found

    def time_window(self) -> float:
        self.ask("window")
        return float(self.answer(ANSWER_SECONDS)["seconds"])


class Sides:
    """The processes of all sides, each started when a task wants it first. Use as a context."""

    def __init__(self, held: Lease) -> None:
        self.held = held
        self.processes: dict[str, SideProcess] = {}

    def __enter__(self) -> "Sides":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.close()

    def built(
        self, task: Task, sides: Sequence[str], end: float, found: dict[str, dict[str, Any]]
    ) -> list[str]:
        """The sides that stand ready for a task; the others have their error in `found`. One that is not
        ready at `end` is ended."""
        for text in sides:
            if text not in self.processes:
                self.processes[text] = SideProcess(text, self.held)
            self.processes[text].ask("build", task=asdict(task))
        return [text for text in sides if self._answered(text, end, found)]

    def end(self, text: str) -> None:
        """Ends a process; the next task that wants the side starts it anew."""
        self.processes.pop(text).close()

    def _answered(self, text: str, end: float, found: dict[str, dict[str, Any]]) -> bool:
        """Takes in an answer, or the error in its place; a process that gives none is ended."""
        try:
            found[text] = {**found.get(text, {}), **self.processes[text].answer(end - clock())}
        except ContenderFailed as error:
            found[text] = {"error": str(error)}
            if self.processes[text].process.poll() is not None or error.status == "timeout":
                self.end(text)
            return False
        return True

    def calibrated(
        self, sides: Sequence[str], seconds: float, found: dict[str, dict[str, Any]]
    ) -> dict[str, SideProcess]:
        """Those of the sides whose windows have a length, one after the other."""
        ready = {}
        for text in sides:
            self.processes[text].ask("calibrate", window_seconds=seconds)
            if self._answered(text, clock() + ANSWER_SECONDS, found):
                found[text]["seconds"] = []
                ready[text] = self.processes[text]
        return ready


def compare(
    sides: Sides, comparison: Comparison, task: Task, end: float, window_seconds: float
) -> dict[str, Any]:
    """What `tests.bench.compare` finds, of one task."""
    found: dict[str, dict[str, Any]] = {text: {} for text in comparison.sides}
    built = sides.built(task, comparison.sides, min(end, clock() + BUILD_SECONDS), found)
    ready = sides.calibrated(built, window_seconds, found)
    orders = take_turns(dict(ready), found, ROUNDS, print)
    for text in ready:
        if "error" in found[text]:  # it may still be at the window that it was given up in
            sides.end(text)
    record = {
        "name": comparison.name,
        "task": asdict(task),
        "flops_per_sequence": task.model.training_flops_per_sequence(),
        "window_seconds": window_seconds,
        "orders": orders,
        "sides": found,
    }
    return with_estimates(record)


def measure(given: Job, comparisons: Sequence[Comparison], held: Lease) -> dict[str, Any]:
    """All comparisons that there is time for; the document is written after each."""
    end = clock() + given.seconds
    document: dict[str, Any] = {
        "started": now().isoformat(),
        "quick": given.quick,
        "cores": list(held.cores),
        "machine": machine.machine_info(),
        "versions": machine.all_versions(catalogue.all_packages()),
        "git_revision": machine.git_revision(),
        "comparisons": [],
        "not_reached": [],
    }
    longest = 0.0  # seconds of a comparison so far, the first with its imports left out
    with Sides(held) as sides:
        for index, each in enumerate(comparisons):
            start = clock()
            if start + longest > end:
                document["not_reached"] = [later.name for later in comparisons[index:]]
                break
            task = Task(each.cell, each.hidden, each.batch, len(held.cores), device=given.device)
            task = replace(task, epoch=(QUICK_EPOCH if given.quick else EPOCH) // each.batch)
            print(each.name, flush=True)
            document["comparisons"].append(compare(sides, each, task, end, WINDOW_SECONDS))
            store(document, given.output)
            if index:
                longest = max(longest, clock() - start)
    store(document, given.output)
    return document


def store(document: dict[str, Any], folder: Path) -> None:
    (folder / FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """0: the first comparison has a window of its first side; 1: it has not."""
    given = job(__doc__)
    gpus = candidate_gpus(given.device, ("cpu", "cuda"))
    threads = thread_count(1 if given.quick else None, gpu=bool(gpus))
    with lease(threads, gpus, print) as held:
        document = measure(given, QUICK if given.quick else COMPARISONS, held)
    first = next(iter(document["comparisons"]), {"sides": {FUSED: {"error": "no time"}}})
    for each in document["comparisons"]:
        for text, side in each["sides"].items():
            if "error" in side:
                print(f"{each['name']}: {text} failed: {side['error']}")
    return int("error" in first["sides"][FUSED])


if __name__ == "__main__":
    sys.exit(main())
