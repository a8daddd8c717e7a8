"""What a command would run, what of it is there already and what cannot start here. Runs nothing, writes
nothing."""

import sys
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from harness.backends.implementations import offers
from harness.config.schema import HOUSE, Config
from harness.errors import HarnessError, Unavailable
from harness.launcher.key import run_key
from harness.launcher.launch import resources
from harness.launcher.titles import title_of
from harness.store import attempts, frames
from harness.sweep.estimate import Estimate, Kind
from harness.sweep.task import Task

WOULD, THERE, CANNOT = "would run", "complete already", "cannot start"


@dataclass(frozen=True)
class Finding:
    """One run: what would become of it, why, and in how many seconds, where that is known."""

    title: str
    verdict: str
    reason: str = ""
    seconds: float | None = None


def show(tasks: list[Task] | None, total: int | None) -> int:
    """Writes it to stdout. Exit status: 0, or 2 if nothing could start."""
    if tasks is None:
        many = "runs" if total is None else f"{total} runs"
        sys.stdout.write(f"{many} that are chosen as the search goes: what they are is not known before\n")
        return 0
    configs = [Config.from_mapping(task.config) for task in tasks]
    learnt = _learnt({config.results.root for config in configs})
    found: list[Finding] = []
    seen: set[str] = set()
    for number, config in enumerate(configs):
        finding = _examine(config, learnt, seen)
        found.append(finding)
        of = f"[{number + 1}/{len(tasks)}] " if len(tasks) > 1 else ""
        sys.stdout.write(f"{of}{finding.title}: {finding.verdict}{_more(finding)}\n")
    sys.stdout.write(_sum(found) + "\n")
    return 2 if all(finding.verdict == CANNOT for finding in found) else 0


def _examine(config: Config, learnt: Estimate, seen: set[str]) -> Finding:
    title = title_of(config)
    try:
        threads, _ = resources(config)
        _offered(config)
        key = run_key(config, threads)
        done = attempts.complete(config.results.root, key, with_weights=config.save_weights)
    except HarnessError as error:
        return Finding(title, CANNOT, str(error))
    again = config.sweep.rerun == "all"
    if key in seen and not again:
        return Finding(title, THERE, "by then: the same run comes before it")
    seen.add(key)
    if done is not None and not again:
        return Finding(title, THERE, str(done.record_path))
    return Finding(title, WOULD, seconds=learnt.seconds(Kind.of(config.to_mapping())))


def _offered(config: Config) -> None:
    """Raises Unavailable for what can be told to be missing without importing a framework."""
    name, cell, chosen = config.backend.name, config.cell.name, config.backend.implementation
    there = _implementations(name, cell)
    if not there:
        raise Unavailable(f"{name} has no {cell}")
    if chosen != "auto" and chosen not in there:
        raise Unavailable(f"{name} has no {chosen} {cell}; it has: {', '.join(there)}")
    package = import_module(f"harness.backends.{name}")
    needed = [each for each in package.PACKAGES if each not in package.ENGINES]
    needed += [config.backend.engine] if config.backend.engine else []
    missing = [each for each in needed if find_spec(each) is None]
    if missing:
        raise Unavailable(
            f"{' and '.join(missing)} is not installed; "
            f"install it: pip install -c constraints.txt {' '.join(missing)}"
        )


def _implementations(backend: str, cell: str) -> tuple[str, ...]:
    """Those of NumPy are told by the backend itself, which needs no framework to be imported."""
    if backend == "numpy":
        return tuple(import_module("harness.backends.numpy.backend").implementations(cell))
    return offers(HOUSE / "backends" / backend / "cells", cell)


def _learnt(roots: set[str]) -> Estimate:
    """From the stored runs that ended `ok`, without their waiting for cores."""
    learnt = Estimate()
    for root in roots:
        try:
            records = frames.records(Path(root))
        except HarnessError:  # no such directory yet
            continue
        for record in records:
            if record.ok and record.total_seconds is not None:
                waited = record.timing.get("phases", {}).get("lease", 0.0)
                learnt.learn(Kind.of(record.config), record.total_seconds - waited)
    return learnt


def _more(finding: Finding) -> str:
    if finding.reason:
        return f": {finding.reason}" if finding.verdict == CANNOT else f", {finding.reason}"
    return "" if finding.seconds is None else f", about {_span(finding.seconds)}"


def _sum(found: list[Finding]) -> str:
    count = Counter(finding.verdict for finding in found)
    would = [finding for finding in found if finding.verdict == WOULD]
    known = [finding.seconds for finding in would if finding.seconds is not None]
    parts = [f"{count[WOULD]} would run"]
    if known:
        lacking = len(would) - len(known)
        parts[0] += f" (one after another about {_span(sum(known))}"
        parts[0] += f", and {lacking} of unknown length)" if lacking else ")"
    parts += [f"{count[THERE]} complete already", f"{count[CANNOT]} cannot start"]
    return ", ".join(parts)


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
