"""What a launcher takes to start, and beside a run.

    python -m tests.bench.launchers [ROUNDS]

Two short runs by each launcher in turn, ROUNDS times (5), in a fresh order every round: seconds from the
command to its first run, what that is more than without a launcher in the same round, and the memory of the
process that makes a run (its own, not shared with others).
"""

import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil

from harness.sweep import Documents, Entry
from tests.bench.child import ROOT

LAUNCHERS = ("basic", "joblib", "submitit_local", "ray")
RUNS = ("backend=numpy", "data=digits", "cell.hidden=8", "train.epochs=20", "threads=1", "seed=0,1")


def first_run(launcher: str, root: Path) -> tuple[float, float]:
    """Seconds from the command to its first run, and MiB of the process that makes it."""
    command = [sys.executable, "run.py", "-m", f"hydra/launcher={launcher}", f"results.root={root}", *RUNS]
    began = time.time()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (found := _entries(root)):
            assert process.poll() is None, f"{launcher} made no run"
            time.sleep(0.05)
        memory = psutil.Process(found[0].pid).memory_full_info().uss / 2**20
        process.wait()
    assert process.returncode == 0
    return min(datetime.fromisoformat(entry.started).timestamp() for entry in found) - began, memory


def _entries(root: Path) -> list[Entry]:
    return [entry for sweep in root.glob("sweeps/*") for entry in Documents(str(sweep)).read()]


def main() -> None:
    seconds, memory = defaultdict(list), defaultdict(list)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        for launcher in random.sample(LAUNCHERS, len(LAUNCHERS)):
            with tempfile.TemporaryDirectory() as place:
                took, mib = first_run(launcher, Path(place))
            seconds[launcher].append(took)
            memory[launcher].append(mib)
            print(f"{launcher}: {took:.1f} s, {mib:.0f} MiB", flush=True)
    print("| launcher | to the first run, s | more than without, s | MiB |\n|---|---:|---:|---:|")
    for launcher in LAUNCHERS:
        more = [took - bare for took, bare in zip(seconds[launcher], seconds["basic"], strict=True)]
        cells = [f"{median(x):.1f} ({min(x):.1f} to {max(x):.1f})" for x in (seconds[launcher], more)]
        print(f"| {launcher} | {' | '.join(cells)} | {median(memory[launcher]):.0f} |")


if __name__ == "__main__":
    main()
