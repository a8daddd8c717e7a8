"""Stage: every cell × implementation × precision against the float64 reference, a small shape each.

PyTorch and Keras on two engines, each with and without a compiler, are shared out over processes by their
cells: compilers take most of the time. They run at the same time, since nothing is timed, and write a line
for each square as soon as it is known. A process that has not ended when the time is over is killed.

    python -m tests.gpu.parity --part torch_0 --output DIRECTORY     one part alone, in this process
"""

import json
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.backends.base import IMPLEMENTATIONS, Setup
from harness.config import catalogue
from harness.errors import ParityFailed, Unavailable
from harness.launcher.lease import Lease, lease
from harness.measure.clock import seconds as clock
from harness.measure.devices import candidate_gpus, thread_count
from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec
from harness.model.precision import PRECISIONS, held_in
from harness.runner.context import open_session
from harness.runner.parity import gradients, training
from harness.text import error_line
from tests.bench.child import environment, parse
from tests.gpu.prepared import ROOT
from tests.gpu.stages import Job, job
from tests.support.parity import defaults

STEPS, FEATURES, HIDDEN, CLASSES, BATCH = 8, 12, 16, 5, 16
FIRST = ("lstm", "gru", "rnn")  # cells that most people use
QUICK_CELLS, QUICK_PRECISIONS = ("lstm", "mingru"), ("float32", "bfloat16")


@dataclass(frozen=True)
class Part:
    """What one process compares: of a framework every `of`-th cell, from the one numbered `index`."""

    framework: str
    backend: str
    implementations: tuple[str, ...]
    engine: str | None = None
    index: int = 0
    of: int = 1

    @property
    def name(self) -> str:
        return f"{self.framework}_{self.index}"

    @property
    def file(self) -> str:
        return f"parity_{self.name}.jsonl"


def shared(part: Part, of: int) -> tuple[Part, ...]:
    """A part as so many processes."""
    return tuple(replace(part, index=index, of=of) for index in range(of))


PLAIN = tuple(name for name in IMPLEMENTATIONS if name not in ("auto", "compiled"))
PARTS = (
    *shared(Part("torch", "torch", PLAIN), 2),
    *shared(Part("torch_compiled", "torch", ("compiled",)), 6),
    *shared(Part("keras_jax", "keras", PLAIN, "jax"), 4),
    *shared(Part("keras_jax_compiled", "keras", ("compiled",), "jax"), 3),
    *shared(Part("keras_torch", "keras", PLAIN, "torch"), 1),
    *shared(Part("keras_torch_compiled", "keras", ("compiled",), "torch"), 3),
)


@dataclass(frozen=True)
class Square:
    """What is compared at a time."""

    cell: str
    implementation: str
    precision: str


def squares(part: Part, quick: bool) -> list[Square]:
    """Those of a part: what is cheap and what most people use comes first."""
    if quick and (part.index or part.implementations == ("compiled",)):
        return []
    names = sorted(catalogue.cell_names(), key=lambda name: name not in FIRST)
    cells = QUICK_CELLS if quick else names[part.index :: part.of]
    precisions = QUICK_PRECISIONS if quick else PRECISIONS
    return [
        Square(cell, implementation, precision)
        for precision in precisions
        for implementation in part.implementations
        for cell in cells
        if implementation in catalogue.implementations(part.backend, cell)
    ]


def compare(part: Part, square: Square, device: str, threads: int) -> dict[str, Any]:
    """The distances of gradients and of three updates, with their limits, and whether they are within."""
    model = ModelSpec(
        square.cell, STEPS, FEATURES, HIDDEN, CLASSES, options=dict(defaults(square.cell)), readout="last"
    )
    setup = Setup(
        model,
        OptimizerSpec("adam", epsilon=1e-5),
        square.implementation,
        part.engine,
        device=device,
        threads=threads,
        precision=square.precision,
    )
    kind = held_in(square.precision)
    rng = np.random.default_rng(0)
    x = rng.random((training.BATCHES * BATCH, STEPS, FEATURES)).astype(kind)
    y = rng.integers(0, CLASSES, len(x))
    weights = {name: w.astype(kind) for name, w in draw(model, 0, "keras").items()}

    def batches(count: int) -> training.Batches:
        rows = np.resize(np.arange(len(x)), (count, BATCH))
        return training.Batches(x, y, rows, rows, np.full(count, 1e-3))

    session = open_session(part.backend, setup)
    try:
        session.put_weights(weights)
        session.load("train", x, y)
        of_gradients = gradients.measure(session, setup, weights, x[:BATCH], y[:BATCH])
        of_updates = training.measure(session, setup, weights, batches(training.BATCHES))
        several = session.steps_per_launch
        if several > 1:
            programs = training.measure_programs(session, setup, weights, batches(2 * several + 1))
            of_updates = max(of_updates, programs, key=lambda each: each.largest / each.limit)
        kernel = session.kernel
    finally:
        session.close()
    found = {
        "kernel": kernel,
        "gradient": max(of_gradients.gradient, of_gradients.loss),
        "gradient_limit": of_gradients.limit,
        "update": of_updates.largest,
        "update_limit": of_updates.limit,
    }
    try:
        gradients.check_limit(of_gradients)
        training.check_limit(of_updates)
    except ParityFailed as error:
        return {**found, "failed": str(error)}
    return found


def results(part: Part, given: Job, threads: int) -> Iterator[dict[str, Any]]:
    """How many squares there are, and a line for each, as far as the time goes."""
    end = clock() + given.seconds
    todo = squares(part, given.quick)
    yield {"squares": len(todo)}
    for square in todo:
        if clock() > end:
            return
        start = clock()
        try:
            found = compare(part, square, given.device, threads)
        except Unavailable as error:
            found = {"unavailable": str(error)}
        except Exception as error:  # noqa: BLE001  one square that breaks must not hide the others
            found = {"failed": error_line(error)}
        yield {**asdict(square), **found, "seconds": clock() - start}


def measure_part(part: Part, given: Job, threads: int) -> int:
    """Writes a part's lines as they come; 1 where one failed."""
    failed = False
    with (given.output / part.file).open("w", encoding="utf-8") as lines:
        for line in results(part, given, threads):
            lines.write(json.dumps(line) + "\n")
            lines.flush()
            failed |= "failed" in line
    return int(failed)


def start(part: Part, given: Job, held: Lease) -> subprocess.Popen:
    """The process of a part, in the environment of a run on what is held."""
    side = f"session:backend={part.backend}" + (f",engine={part.engine}" if part.engine else "")
    options = ["--part", part.name, "--threads", str(len(held.cores)), "--device", given.device]
    options += ["--seconds", f"{given.seconds:.1f}", "--output", str(given.output)]
    command = [sys.executable, "-m", "tests.gpu.parity", *options, *(["--quick"] if given.quick else [])]
    return subprocess.Popen(command, cwd=ROOT, env=environment(parse(side), held))


def ended(process: subprocess.Popen, end: float) -> int:
    """The exit status; 0 for one that was cut off, since its lines say how far it came."""
    try:
        return process.wait(max(0.0, end - clock()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 0


def of_part() -> int:
    """The command line of one part."""
    parser = ArgumentParser()
    parser.add_argument("--part", required=True, choices=[part.name for part in PARTS])
    parser.add_argument("--threads", type=int, required=True)
    known, sys.argv[1:] = parser.parse_known_args()
    (part,) = (part for part in PARTS if part.name == known.part)
    return measure_part(part, job(__doc__), known.threads)


def lines(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What the processes of every framework wrote, as far as they came."""
    found: dict[str, list[dict[str, Any]]] = {}
    for part in PARTS:
        with suppress(FileNotFoundError):
            text = (folder / part.file).read_text("utf-8")
            whole = [line for line in text.splitlines() if line.endswith("}")]
            found.setdefault(part.framework, []).extend(map(json.loads, whole))
    return found


def main() -> int:
    """0: all that was compared is within its limits; 1: something is not, a part died, or nothing was."""
    if "--part" in sys.argv:
        return of_part()
    given = job(__doc__)
    end = clock() + given.seconds
    gpus = candidate_gpus(given.device, ("cpu", "cuda"))
    threads = thread_count(1 if given.quick else None, gpu=bool(gpus))
    parts = [part for part in PARTS if squares(part, given.quick)]
    with lease(threads, gpus, print) as held:
        each = max(1, threads // len(parts))
        share = Lease(held.cores[:each], held.gpu)  # by number: the system places them
        processes = [start(part, given, share) for part in parts]
        codes = [ended(process, end) for process in processes]
    for part, code in zip(parts, codes, strict=True):
        print(f"{part.name}: exit status {code}")
    compared = any("gradient" in line for each in lines(given.output).values() for line in each)
    return int(any(codes) or not compared)


if __name__ == "__main__":
    sys.exit(main())
