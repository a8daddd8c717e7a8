"""All benchmarks, or some: `make bench`.

    python -m tests.bench.suite
    python -m tests.bench.suite --only lstm --rounds 24
    python -m tests.bench.suite --quick

Comparisons of one cell and batch size are made in one call of `compare`, side by side; then whole runs
through `run.py`. Ends with a table of what was found and what is aimed at; it and the raw windows are
stored in results/bench.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.config import catalogue
from harness.errors import Unavailable
from harness.measure import machine
from harness.measure.clock import now
from harness.measure.devices import thread_count
from harness.measure.statistics import Estimate, estimate
from tests.bench import whole_run
from tests.bench.child import BACKENDS
from tests.bench.compare import (
    RESULTS,
    ROUNDS,
    WINDOW_SECONDS,
    compare,
    interval,
    on_stderr,
    positive,
    rates,
    ratio,
    store,
    with_estimates,
    working,
)
from tests.bench.task import Task

TABLE = RESULTS / "table.md"
SIDES = {
    "NumPy": "session:backend=numpy",
    "torch fused": "session:backend=torch,implementation=fused",
    "torch loop": "session:backend=torch,implementation=loop",
    "torch compiled": "session:backend=torch,implementation=compiled",
    "keras tensorflow fused": "session:backend=keras,engine=tensorflow,implementation=fused",
    "keras tensorflow loop": "session:backend=keras,engine=tensorflow,implementation=loop",
    "keras tensorflow compiled": "session:backend=keras,engine=tensorflow,implementation=compiled",
    "keras jax fused": "session:backend=keras,engine=jax,implementation=fused",
    "keras jax compiled": "session:backend=keras,engine=jax,implementation=compiled",
    "keras torch fused": "session:backend=keras,engine=torch,implementation=fused",
    "fit tensorflow": "keras_fit:engine=tensorflow",
    "fit jax unrolled": "keras_fit:engine=jax,unroll=true",
    "bare torch loop": "torch_loop",
    "the PyTorch examples' way": "torch_examples",
    "a tutorial's LSTM": "tutorial_lstm",
    "product of 512": "matmul:size=512",
    "product of 1024": "matmul:size=1024",
    "product of 2048": "matmul:size=2048",
}
TORCH = ("torch fused", "torch loop", "torch compiled")
KERAS = (
    "keras tensorflow fused",
    "keras tensorflow loop",
    "keras tensorflow compiled",
    "keras jax fused",
    "keras jax compiled",
    "keras torch fused",
    "fit jax unrolled",
)
PEAK = ("product of 512", "product of 1024", "product of 2048")


@dataclass(frozen=True)
class Comparison:
    """A side against the best of others: `goal` is for the ratio, `floor` for the low end of its interval."""

    cell: str
    ours: str
    theirs: tuple[str, ...]
    goal: float
    floor: float | None = None  # None: the goal
    batch: int = 128

    @property
    def name(self) -> str:
        """What it is called, whichever of the others turns out to be the best."""
        kinds = {TORCH: "the best of torch", KERAS: "the best of Keras", PEAK: "the matmul peak"}
        at = "" if self.batch == 128 else f", batch {self.batch}"
        return f"{self.cell}{at}: {self.ours} / {kinds.get(self.theirs) or self.theirs[0]}"

    @property
    def sides(self) -> tuple[str, ...]:
        return self.ours, *self.theirs


@dataclass(frozen=True)
class Row:
    """A line of the table; `figure` is None where it could not be measured, `goal` where there is none."""

    what: str
    figure: Estimate | None
    goal: float | None
    floor: float | None = None
    unit: str = ""
    at_most: bool = False  # the goal is not to be exceeded


COMPARISONS = (
    Comparison("lstm", "torch fused", ("bare torch loop",), 1.00, 0.98),
    Comparison("gru", "torch fused", ("bare torch loop",), 1.00, 0.98),
    Comparison("rnn", "torch fused", ("bare torch loop",), 1.00, 0.98),
    Comparison("lstm", "keras tensorflow fused", ("fit tensorflow",), 1.10),
    Comparison("gru", "keras tensorflow fused", ("fit tensorflow",), 1.10),
    Comparison("lstm", "torch fused", ("the PyTorch examples' way",), 1.3),
    Comparison("lstm", "NumPy", ("torch fused",), 1.0),
    Comparison("gru", "NumPy", ("torch fused",), 1.8),
    Comparison("rnn", "NumPy", ("torch fused",), 1.2),
    Comparison("lstm", "NumPy", TORCH, 1.0),
    Comparison("gru", "NumPy", TORCH, 1.0),
    Comparison("rnn", "NumPy", TORCH, 1.0),
    Comparison("lstm", "NumPy", KERAS, 1.3),
    Comparison("gru", "NumPy", KERAS, 1.0),
    Comparison("rnn", "NumPy", KERAS, 1.0),
    Comparison("lstm", "NumPy", PEAK, 0.70),
    Comparison("lstm", "NumPy", PEAK, 0.75, batch=512),
    Comparison("lstm", "NumPy", ("a tutorial's LSTM",), 100),
)


def calls(chosen: Sequence[Comparison]) -> dict[tuple[str, int], list[Comparison]]:
    """The comparisons that one call makes, by cell and batch size."""
    found: dict[tuple[str, int], list[Comparison]] = {}
    for comparison in chosen:
        found.setdefault((comparison.cell, comparison.batch), []).append(comparison)
    return found


def compared(comparison: Comparison, record: dict[str, Any]) -> Row:
    """What a call found about one of its comparisons."""
    ok = set(working(record))
    lost = [name for name in comparison.sides if SIDES[name] not in ok]
    others = [name for name in comparison.theirs if name not in lost]
    what, figure = comparison.name, None
    if others and comparison.ours not in lost:
        best = max(others, key=lambda name: estimate(rates(record, SIDES[name])).median)
        figure = ratio(record, SIDES[comparison.ours], SIDES[best])
        what += f" ({best})" if len(comparison.theirs) > 1 else ""
    if lost:
        what += f"; failed: {', '.join(lost)}"
    return Row(what, figure, comparison.goal, comparison.floor)


def verdict(row: Row) -> str:
    """yes and no where median and interval agree, else open, as after too few rounds for an interval."""
    if row.figure is None:
        return "not measured"
    if row.goal is None:
        return "–"
    if row.at_most:
        return "yes" if row.figure.high <= row.goal else "no" if row.figure.low > row.goal else "open"
    if row.figure.coverage < 0.95:
        return "open"
    if row.figure.median >= row.goal and row.figure.low >= (row.floor or row.goal):
        return "yes"
    return "no" if row.figure.high < row.goal else "open"


def whole_run_rows(found: whole_run.WholeRuns) -> list[Row]:
    """Single runs, so there are no intervals."""
    name = f"whole run, {found.backend}: seconds of launcher, parity, roofline and record"
    rows = [Row(name, _alone(found.own_seconds), 2.0, unit=" s", at_most=True)]
    for epochs in whole_run.EPOCHS:
        memory = found.peak_memory_bytes(epochs)
        name = f"whole run, {found.backend}: peak memory, epochs={epochs}"
        rows.append(Row(name, _alone(memory and memory / 1e6), None, unit=" MB"))
    return rows


def _alone(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value, value, value, 0.0)


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| comparison | ratio | 95 % interval | goal | met |", "|---|--:|---|--:|---|"]
    for row in rows:
        ratio, spread = "–", "–"
        if row.figure is not None:
            digits = ".3f" if row.figure.median < 10 else ".0f"
            ratio, _, spread = interval(row.figure, digits).partition(" ")
            spread = spread if row.figure.coverage else "one run"
            ratio += row.unit
        goal = "–" if row.goal is None else f"{'≤' if row.at_most else '≥'} {row.goal:g}{row.unit}"
        if row.floor is not None:
            goal += f", interval ≥ {row.floor:g}"
        lines.append(f"| {row.what} | {ratio} | {spread} | {goal} | {verdict(row)} |")
    return "\n".join(lines) + "\n"


def page(rows: Sequence[Row], threads: int, rounds: int) -> str:
    """The table and where it comes from."""
    versions = ", ".join(
        f"{name} {version}" for name, version in machine.all_versions(catalogue.all_packages()).items()
    )
    return (
        f"{table(rows)}\n{now():%Y-%m-%d %H:%M} UTC, {machine.cpu_name()}, {threads} threads, {rounds} "
        f"rounds, harness at {machine.git_revision()}. Versions: {versions}.\n"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", default="", help="comparisons with this in their name: lstm, NumPy, whole run"
    )
    parser.add_argument("--rounds", type=positive, default=ROUNDS)
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--quick", action="store_true", help="does everything work? Its figures mean little")
    return parser.parse_args()


def main() -> int:
    """0: everything was measured; 1: something was not; 130: stopped."""
    args = arguments()
    rounds, window_seconds, data = args.rounds, WINDOW_SECONDS, "mnist"
    if args.quick:
        rounds, window_seconds, data = 3, 0.1, "digits"
    chosen = [comparison for comparison in COMPARISONS if args.only in comparison.name]
    backends = [backend for backend in BACKENDS if args.only in f"whole run, {backend}"]
    if not chosen and not backends:
        names = "\n".join(comparison.name for comparison in COMPARISONS)
        on_stderr(f"--only {args.only!r}: no comparison has this in its name; there are\n{names}\nwhole run")
        return 2
    try:
        threads = thread_count(args.threads, gpu=False)
    except Unavailable as error:
        on_stderr(str(error))
        return 2
    rows: list[Row] = []
    try:
        for (cell, batch), comparisons in calls(chosen).items():
            task = Task(cell, batch=batch, threads=threads)
            sides = [SIDES[name] for comparison in comparisons for name in comparison.sides]
            record = compare(task, sides, rounds=rounds, window_seconds=window_seconds, say=on_stderr)
            store(with_estimates(record), RESULTS / f"suite_{cell}_batch{batch}.json")
            rows += [compared(comparison, record) for comparison in comparisons]
            keep(rows, threads, rounds)
        for backend in backends:
            found = whole_run.measure(backend, data, on_stderr)
            on_stderr(whole_run.describe(found))
            store(found.to_mapping(), RESULTS / f"whole_run_{backend}.json")
            rows += whole_run_rows(found)
            keep(rows, threads, rounds)
    except KeyboardInterrupt:
        on_stderr("stopped; the table has what was measured until then")
        return 130
    print(table(rows), end="")
    print(TABLE)
    return 0 if all(row.figure for row in rows) else 1


def keep(rows: Sequence[Row], threads: int, rounds: int) -> None:
    """Writes the table as far as it goes."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(page(rows, threads, rounds), encoding="utf-8")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
