"""What a launcher takes to start, and beside a run.

    python -m tests.bench.launchers [ROUNDS]

Two short runs by each launcher in turn, ROUNDS times (5), in a fresh order every round. Until the first run
is begun: seconds, and seconds of a processor by the command and all that it has started, which hardly depend
on what else the machine does. Beside a run: the memory of the process that makes it (its own, not shared).
"""

import random
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil

from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus
from tests.bench.child import ROOT

LAUNCHERS = ("basic", "joblib", "submitit_local", "ray")
COLUMNS = ("seconds", "processor seconds", "MiB")
RUNS = ("backend=numpy", "data=digits", "cell.hidden=8", "train.epochs=20", "threads=1", "seed=0,1")
Figures = tuple[float, float, float]


def first_run(launcher: str, root: Path) -> Figures:
    command = [sys.executable, "run.py", "-m", f"hydra/launcher={launcher}", f"results.root={root}", *RUNS]
    began = time.time()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (found := _entries(root)):
            assert process.poll() is None, f"{launcher} made no run"
            time.sleep(0.1)
        spent = _processor_seconds(psutil.Process(process.pid))
        memory = psutil.Process(found[0].pid).memory_full_info().uss / 2**20
        process.wait()
    assert process.returncode == 0
    first = min(datetime.fromisoformat(entry.started).timestamp() for entry in found)
    return first - began, spent, memory


def _processor_seconds(process: psutil.Process) -> float:
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def _entries(root: Path) -> list[RunStatus]:
    return [entry for sweep in root.glob("sweeps/*") for entry in StatusFiles(str(sweep)).read()]


def main() -> None:
    found: dict[str, list[Figures]] = {launcher: [] for launcher in LAUNCHERS}
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        for launcher in random.sample(LAUNCHERS, len(LAUNCHERS)):
            with tempfile.TemporaryDirectory() as place:
                found[launcher].append(first_run(launcher, Path(place)))
            print(launcher, *(f"{figure:.1f}" for figure in found[launcher][-1]), flush=True)
    print(f"| launcher | {' | '.join(COLUMNS)} |\n|---|---:|---:|---:|")
    for launcher, rounds in found.items():
        columns = zip(*rounds, strict=True)
        cells = (f"{median(column):.1f} ({min(column):.1f} to {max(column):.1f})" for column in columns)
        print(f"| {launcher} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
