"""What the stages found, as a page: `python -m tests.gpu.summary DIRECTORY`."""

import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.measure.statistics import Estimate
from harness.report.table.command import table as runs_table
from tests.bench import suite
from tests.bench.child import parse
from tests.bench.compare import interval, ratio, working
from tests.gpu import cuda_tests, here, parity, speed

MANIFEST = "manifest.json"
GOALS = {speed.EAGER: 3.0, speed.GRAPH: 1.0}  # bare side -> how many times as fast a session is to be
BARE = {"torch_loop": "a bare loop", "torch_graph": "a bare CUDA graph"}
BY = "backend,engine,implementation,cell,hidden,batch_size,sequence,precision"
METRICS = (
    "test_accuracy,train_throughput,energy_joules,joules_per_1000_sequences,peak_fraction,"
    "parity_gradient,parity_update"
)


def page(folder: Path) -> str:
    """All that there is, and a table of the records."""
    try:
        records = runs_table(
            str(folder),
            by=f"{BY},kernel",
            rows=None,
            across=None,
            metric=METRICS,
            targets=False,
            filters=[],
            style="md",
            output=None,
        )
    except HarnessError as error:
        records = str(error)
    return f"{findings(folder)}\n\n{records}\n"


def findings(folder: Path) -> str:
    """What the stages found beside records; a stage that left no file is missing."""
    parts = (card(folder), stages(folder), tests(folder), goals(folder))
    parts += (parity_table(folder), *speed_tables(folder))
    return "\n\n".join(part for part in parts if part)


def read(folder: Path, name: str) -> Any:
    """A document; None where it is not there."""
    with suppress(FileNotFoundError):
        return json.loads((folder / name).read_text("utf-8"))
    return None


def card(folder: Path) -> str:
    """The GPUs, their driver and the libraries, in one line."""
    found = read(folder, here.FILE)
    if found is None:
        return ""
    cards = [f"{each['name']} (driver {each['driver_version']})" for each in found["cards"]]
    libraries = [
        f"{name} {each['version']}" for name, each in found["libraries"].items() if "version" in each
    ]
    return ", ".join([*(cards or ["no GPU"]), *libraries])


def stages(folder: Path) -> str:
    found = read(folder, MANIFEST)
    if found is None:
        return ""
    rows = [
        (each["name"], each["how"], f"{each['seconds']:.0f}", f"{each['limit']:.0f}")
        for each in found["stages"]
    ]
    kind = "tiny models: these figures mean nothing\n\n" if found["quick"] else ""
    return kind + markdown(("stage", "ended", "seconds", "limit"), rows)


def tests(folder: Path) -> str:
    found = read(folder, cuda_tests.FILE)
    if not found:
        return ""
    counts = ", ".join(f"{len(names)} {how}" for how, names in found.items())
    return "\n".join([f"CUDA tests: {counts}", *(f"- failed: {name}" for name in found["failed"])])


def goals(folder: Path) -> str:
    """What is aimed at, of the first comparison."""
    found = read(folder, speed.FILE)
    if found is None or not found["comparisons"]:
        return ""
    record = found["comparisons"][0]
    ok = working(record)
    return suite.table(
        [
            suite.Row(
                f"{record['name']}: torch fused / {label(side)}",
                ratio(record, speed.FUSED, side) if {speed.FUSED, side} <= set(ok) else None,
                goal,
            )
            for side, goal in GOALS.items()
        ]
    ).rstrip()


def parity_table(folder: Path) -> str:
    """For each framework, implementation and precision, how many squares are within their limits and the
    largest distances; then every square that is not, and what was not compared."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    notes: list[str] = []
    absent: Counter[tuple[str, str]] = Counter()
    for framework, lines in parity.lines(folder).items():
        missing = sum(line.get("squares", -1) for line in lines)
        for line in lines:
            if "unavailable" in line:
                absent[framework, f"not available: {line['unavailable']}"] += 1
            elif "cell" in line:
                groups.setdefault((framework, line["implementation"], line["precision"]), []).append(line)
            if "failed" in line:
                square = f"{line['cell']} {line['implementation']} {line['precision']}"
                notes.append(f"- {framework}: {square} failed: {line['failed']}")
        if missing > 0:
            absent[framework, "not reached"] = missing
    rows = []
    for names, group in groups.items():
        measured = [line for line in group if "gradient" in line]
        worst = [max((line[name] for line in measured), default=math.nan) for name in ("gradient", "update")]
        limit = measured[0]["gradient_limit"] if measured else math.nan
        within = sum("failed" not in line for line in group)
        rows.append((*names, f"{within} of {len(group)}", f"{worst[0]:.1e}", f"{limit:g}", f"{worst[1]:.1e}"))
    header = ("framework", "implementation", "precision", "within limits", "gradient", "its limit", "update")
    notes += [f"- {framework}: {count} {what}" for (framework, what), count in absent.items()]
    return "\n\n".join([*([markdown(header, rows)] if rows else []), *(["\n".join(notes)] if notes else [])])


def speed_tables(folder: Path) -> list[str]:
    """A table for every comparison: sequences/s and how many times as fast PyTorch's `fused` session of the
    same precision is; for a session in another precision than float32, the one in float32."""
    found = read(folder, speed.FILE)
    if found is None:
        return []
    tables = [speed_table(record) for record in found["comparisons"]]
    missing = found["not_reached"]
    return [*tables, *([f"Not reached: {', '.join(missing)}."] if missing else [])]


def speed_table(record: dict[str, Any]) -> str:
    rows = []
    ok = working(record)
    for text, side in record["sides"].items():
        if "error" in side:
            rows.append((label(text), "–", side["error"], ""))
            continue
        reference = fused_like(text)
        over = (
            interval(ratio(record, reference, text), ".3f") if reference in ok and reference != text else "–"
        )
        rate = interval(Estimate(**side["sequences_per_second"]), ",.0f")
        rows.append((label(text), rate, over, str(side["facts"].get("kernel", ""))))
    header = ("side", "sequences/s", "torch fused / side", "kernel")
    return f"{record['name']}:\n\n{markdown(header, rows)}"


def fused_like(text: str) -> str:
    """The session that a side is measured by."""
    precision = parse(text).parameters.get("precision", "float32")
    if text.startswith(speed.FUSED) or precision == "float32":
        return speed.FUSED
    return f"{speed.FUSED},precision={precision}"


def label(text: str) -> str:
    """A side in a few words."""
    side = parse(text)
    words = [str(side.parameters.get(key) or "") for key in ("backend", "engine", "implementation")]
    name = BARE.get(side.name) or " ".join(filter(None, words))
    return f"{name}, {side.parameters.get('precision', 'float32')}"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell would end it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    print(findings(Path(sys.argv[1])))
