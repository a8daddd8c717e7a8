"""What a run costs beside its training, and how its memory grows: `run.py` as a person types it.

    python -m tests.bench.whole_run

For each backend a run of one epoch and one of five on MNIST, its results in a directory of their own that
is then removed. Prints the seconds, phase by phase, and the peak memory.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.store.record import RunRecord
from tests.bench.child import BACKENDS, ROOT

EPOCHS = (1, 5)
OWN = ("prepare", "launch", "parity", "diagnostics", "roofline", "end")  # phases: what the harness wants


@dataclass(frozen=True)
class WholeRuns:
    """One backend's runs by their epochs; `error` is the reason of the first that is not ok."""

    backend: str
    records: dict[int, RunRecord]
    error: str | None

    @property
    def own_seconds(self) -> float | None:
        """Of the run of one epoch, what launcher, parity, roofline and record took; None without a run.

        Neither waiting for cores, nor the framework's import and warm-up, nor what the record is made
        for: data, training, validation, evaluation, inference.
        """
        record = self.records.get(EPOCHS[0])
        return sum(record.timing["phases"].get(name, 0.0) for name in OWN) if record else None

    def to_mapping(self) -> dict[str, Any]:
        """The whole records, by their epochs."""
        records = {str(epochs): json.loads(record.to_json()) for epochs, record in self.records.items()}
        return {"backend": self.backend, "error": self.error, "records": records}

    def peak_memory_bytes(self, epochs: int) -> int | None:
        record = self.records.get(epochs)
        return record.peak_memory_bytes if record else None


def measure(backend: str, data: str, say: Callable[[str], None]) -> WholeRuns:
    """A backend's runs, one after the other, up to the first that is not ok."""
    records: dict[int, RunRecord] = {}
    for epochs in EPOCHS:
        say(f"run.py backend={backend} data={data} train.epochs={epochs}")
        found = run(f"backend={backend}", f"data={data}", f"train.epochs={epochs}", "device=cpu")
        if isinstance(found, str):
            return WholeRuns(backend, records, found)
        records[epochs] = found
    return WholeRuns(backend, records, None)


def run(*overrides: str) -> RunRecord | str:
    """The record of a run, or why there is none that is ok."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "run.py", f"results.root={root}", *overrides]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        paths = list(Path(root).glob("runs/*/*/record.json"))
        if not paths:
            said = done.stderr.strip() or done.stdout.strip() or "no output"
            return f"exit status {done.returncode}: {said.splitlines()[-1]}"
        record = RunRecord.read(paths[0])
    return record if record.ok else f"{record.status}: {record.reason}"


def describe(found: WholeRuns) -> str:
    """For the eye: seconds phase by phase, memory."""
    lines = [f"{found.backend}: {found.error}"] if found.error else []
    for epochs, record in found.records.items():
        memory = (record.peak_memory_bytes or 0) / 1e6
        lines.append(
            f"{found.backend}, epochs={epochs}: {record.total_seconds:.2f} s, of them "
            f"{record.train_seconds:.2f} s in training windows; peak memory {memory:.0f} MB"
        )
        phases = record.timing.get("phases", {})
        lines += [f"  {name:12} {seconds:7.2f} s" for name, seconds in phases.items()]
    if found.own_seconds is not None:
        lines.append(f"{found.backend}: {found.own_seconds:.2f} s for the harness itself")
    return "\n".join(lines)


def main() -> int:
    """0: all runs were ok; 1: some were not."""
    whole = True
    for backend in BACKENDS:
        found = measure(backend, "mnist", lambda text: print(text, file=sys.stderr, flush=True))
        print(describe(found), flush=True)
        whole &= found.error is None
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
