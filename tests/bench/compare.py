"""How fast are these sides? Each in a process of its own, window by window, in turns.

    python -m tests.bench.compare --cell lstm session:backend=torch torch_loop
    python -m tests.bench.compare session:backend=keras,engine=jax keras_fit:engine=jax,unroll=true
    python -m tests.bench.compare --batch 512 session:backend=numpy matmul:size=1024
    python -m tests.bench.compare --device cuda session:backend=torch torch_loop torch_graph

Every round has a window of each side, in a fresh order. The first side is compared with each of the
others, round by round, in FLOP/s, which for two sides that train is in sequences/s. It prints medians
with their 95 % intervals and stores the raw windows.
"""

import argparse
import json
import random
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.commands.tournament.contender_process import ContenderFailed
from harness.config import catalogue
from harness.errors import Unavailable
from harness.launcher.lease import lease
from harness.measure import devices, machine
from harness.measure.clock import now
from harness.measure.statistics import Estimate
from tests.bench.child import ROOT, SIDES, Child, parse
from tests.bench.order_statistics import estimate
from tests.bench.task import Task

ROUNDS, WINDOW_SECONDS = 12, 0.4
RESULTS = ROOT / "results" / "bench"
CELLS = ("lstm", "gru", "rnn")
Say = Callable[[str], None]


def compare(
    task: Task, sides: Sequence[str], *, rounds: int, window_seconds: float, say: Say
) -> dict[str, Any]:
    """Everything measured, as plain data; a side that failed has an `error` and no windows.

    Holds the leases of cores and GPU, so that runs of the harness wait meanwhile. Raises ValueError for a
    side that there is not, before anything starts.
    """
    described = [parse(side) for side in dict.fromkeys(sides)]
    found: dict[str, dict[str, Any]] = {}
    gpus = devices.candidate_gpus(task.device, ("cpu", "cuda"))
    with lease(task.threads, gpus, say) as held, ExitStack() as stack:
        load = machine.load_average()
        started = now().isoformat()
        children: dict[str, Child] = {}
        for side in described:
            say(f"starting {side.text}")
            child = stack.enter_context(Child(side, task, held, window_seconds))
            try:
                found[side.text] = {**child.wait_until_ready(), "seconds": []}
                children[side.text] = child
            except ContenderFailed as error:
                found[side.text] = {"error": str(error)}
                say(f"{side.text} failed: {error}")
        orders = take_turns(children, found, rounds, say)
    return {
        "started": started,
        "task": asdict(task),
        "model": json.loads(task.model.to_json()),
        "flops_per_sequence": task.model.training_flops_per_sequence(),
        "cores": list(held.cores),
        "rounds": rounds,
        "window_seconds": window_seconds,
        "orders": orders,
        "sides": found,
        "load_average_before": load,
        "machine": machine.machine_info(),
        "versions": machine.all_versions(catalogue.all_packages()),
        "git_revision": machine.git_revision(),
    }


def take_turns(
    children: dict[str, Any], found: dict[str, dict[str, Any]], rounds: int, say: Say
) -> list[list[str]]:
    """Times a window of every child in every round, in a fresh order each, and returns the orders.

    The seconds go to `found[side]["seconds"]`; one that fails leaves the children, and its error takes the
    place of what was found.
    """
    orders: list[list[str]] = []
    for index in range(rounds):
        say(f"round {index + 1} of {rounds}")
        order = list(children)
        random.shuffle(order)
        orders.append(order)
        for text in order:
            try:
                found[text]["seconds"].append(children[text].time_window())
            except ContenderFailed as error:
                found[text] = {"error": str(error)}
                del children[text]
                say(f"{text} failed: {error}")
    return orders


def rates(record: dict[str, Any], side: str) -> list[float]:
    """A side's FLOP/s in every round; none for one that failed."""
    found = record["sides"][side]
    work = found.get("updates", 0) * found.get("flops_per_update", 0)
    return [work / seconds for seconds in found.get("seconds", ())]


def ratio(record: dict[str, Any], side: str, other: str) -> Estimate:
    """FLOP/s of a side over another's, round by round. Neither may have failed."""
    pairs = zip(rates(record, side), rates(record, other), strict=True)
    return estimate([ours / theirs for ours, theirs in pairs])


def store(record: dict[str, Any], path: Path) -> None:
    """Writes a record; its directory is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def working(record: dict[str, Any]) -> list[str]:
    """The sides that did not fail, in the order in which they were named."""
    return [side for side, found in record["sides"].items() if "error" not in found]


def with_estimates(record: dict[str, Any]) -> dict[str, Any]:
    """The record with the rate of every side that works, and what the first one is to each of the others."""
    flops = record["flops_per_sequence"]
    first, *others = record["sides"]
    ok = working(record)
    for side in ok:
        found = record["sides"][side]
        found["flops_per_second"] = estimate(rates(record, side))._asdict()
        if trains(record, side):
            found["sequences_per_second"] = estimate([r / flops for r in rates(record, side)])._asdict()
    ratios = {other: ratio(record, first, other)._asdict() for other in others if {first, other} <= set(ok)}
    return {**record, "first": first, "first_over": ratios}


def trains(record: dict[str, Any], side: str) -> bool:
    """Whether a side's updates are those of the model, and not bare products."""
    return record["sides"][side]["flops_per_update"] == record["flops_per_sequence"] * record["task"]["batch"]


def table(record: dict[str, Any]) -> str:
    """A record with its estimates, for the eye."""
    rows = [("side", "sequences/s", "GFLOP/s", "first / side", "")]
    for side, found in record["sides"].items():
        if "error" in found:
            rows.append((side, "failed", "", "", found["error"]))
            continue
        flops, sequences = found["flops_per_second"], found.get("sequences_per_second")
        rows.append(
            (
                side,
                "–" if sequences is None else interval(Estimate(**sequences), ",.0f"),
                f"{flops['median'] / 1e9:.1f}",
                interval(Estimate(**over), ".3f") if (over := record["first_over"].get(side)) else "",
                str(found["facts"].get("kernel", "")),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def interval(figure: Estimate, style: str) -> str:
    """A median and its interval; its coverage where that is not 95 %."""
    found = f"{figure.median:{style}} [{figure.low:{style}}, {figure.high:{style}}]"
    return found if figure.coverage >= 0.95 else f"{found} ({figure.coverage:.0%})"


def on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def positive(text: str) -> int:
    """For argparse: a whole number from 1."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.compare",
        description=__doc__,
        epilog=f"sides: {', '.join(SIDES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sides", nargs="+", metavar="SIDE", help="NAME or NAME:KEY=VALUE,KEY=VALUE")
    parser.add_argument("--cell", default="lstm", choices=CELLS)
    parser.add_argument("--hidden", type=positive, default=128)
    parser.add_argument("--batch", type=positive, default=128)
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=positive, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=WINDOW_SECONDS, help="the least a window lasts")
    parser.add_argument("--output", type=Path, help=f"default: {RESULTS.relative_to(ROOT)}/<what>.json")
    return parser.parse_args()


def main() -> int:
    """0: all sides measured; 1: some failed; 2: nothing was started; 130: stopped."""
    args = arguments()
    try:
        threads = devices.thread_count(args.threads, gpu=args.device == "cuda")
        task = Task(args.cell, args.hidden, args.batch, threads, device=args.device)
        record = compare(task, args.sides, rounds=args.rounds, window_seconds=args.seconds, say=on_stderr)
    except (ValueError, Unavailable) as error:
        on_stderr(str(error))
        return 2
    except KeyboardInterrupt:
        on_stderr("stopped; nothing is stored")
        return 130
    record = with_estimates(record)
    path = args.output or RESULTS / f"{task.cell}{task.hidden}_batch{task.batch}_{task.threads}threads.json"
    store(record, path)
    print(table(record))
    print(path)
    return 0 if working(record) == list(record["sides"]) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
