"""How long thousands of stored runs take to read, and how much memory.

    python -m tests.bench.store [COUNT …]

Makes one real run, writes COUNT records like it (1,000, 10,000 and 20,000) below a temporary directory and
reads them: `harness.load` and `python -m harness table`, each in a process of its own, the first time and
again. The files are in the system's memory, where writing left them; the cache starts empty.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.child import ROOT

COUNTS = (1_000, 10_000, 20_000)
PATTERN = (
    "backend=numpy",
    "data=digits",
    "cell.hidden=8",
    "threads=1",
    "train.epochs=10",
    "measure.window_seconds=0.01",
    "measure.warmup_steps=2",
)
SWEPT = list(product(("numpy", "torch", "keras"), ("rnn", "lstm", "gru", "indrnn"), (32, 64, 128, 256)))
READ = """
import resource, sys, time
import harness, pandas
start = time.perf_counter()
frame = harness.load(sys.argv[1])
seconds = time.perf_counter() - start
assert len(frame) == int(sys.argv[2]), len(frame)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(seconds, peak / 2**20)
"""


def pattern(root: Path) -> dict[str, Any]:
    """The document of a real run."""
    subprocess.run([sys.executable, "run.py", f"results.root={root}", *PATTERN], cwd=ROOT, check=True)
    (path,) = root.glob("runs/*/*/record.json")
    return dict(json.loads(path.read_text("utf-8")))


def documents(like: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    """Documents that differ as those of a sweep do: in what was run, and in every figure measured."""
    rng = np.random.default_rng(0)
    started = datetime(2026, 1, 1, tzinfo=UTC)
    for n, (backend, cell, hidden) in enumerate(islice(cycle(SWEPT), count)):
        found = vary(like, rng)
        seed = n // len(SWEPT)
        found |= {
            "key": rng.bytes(10).hex(),
            "backend": backend,
            "cell": cell,
            "hidden": hidden,
            "seed": seed,
        }
        found["started"] = (started + timedelta(seconds=10 * n)).isoformat()
        found["status"] = "ok" if n % 100 else "crashed"
        found["reason"] = None if n % 100 else "ended by SIGSEGV, no output"
        found["config"]["backend"]["name"] = backend
        found["config"]["cell"] |= {"name": cell, "hidden": hidden}
        found["config"]["seed"] = seed
        yield found


def vary(value: Any, rng: np.random.Generator) -> Any:
    """A copy in which every figure below `timing`, `history` and the like is another one."""
    if isinstance(value, dict):
        return {name: value[name] if name == "config" else vary(value[name], rng) for name in value} | (
            {"config": json.loads(json.dumps(value["config"]))} if "config" in value else {}
        )
    if isinstance(value, list):
        return [vary(item, rng) for item in value]
    return value * (0.9 + 0.2 * rng.random()) if isinstance(value, float) else value


def fill(root: Path, like: dict[str, Any], count: int) -> int:
    """Writes so many records; their bytes."""
    size = 0
    for found in documents(like, count):
        when = datetime.fromisoformat(found["started"]).strftime("%Y%m%dT%H%M%S.%f")
        directory = root / "runs" / found["key"] / when
        directory.mkdir(parents=True)
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        (directory / "record.json").write_text(text, "utf-8")
        size += len(text.encode())
    return size


def read(root: Path, count: int, env: dict[str, str]) -> tuple[float, float]:
    """Seconds of `harness.load`, and MiB at the peak of its process."""
    command = [sys.executable, "-c", READ, str(root), str(count)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()
    return float(seconds), float(peak)


def table(root: Path, env: dict[str, str]) -> float:
    """Seconds of `python -m harness table`, from the shell to the shell."""
    command = [
        sys.executable,
        "-m",
        "harness",
        "table",
        "--by",
        "backend,cell,hidden",
        "--results",
        str(root),
    ]
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    counts = [int(text) for text in sys.argv[1:]] or COUNTS
    with tempfile.TemporaryDirectory() as place:
        like = pattern(Path(place) / "pattern")
        heads = "load, s", "again, s", "peak, MiB", "again, MiB", "table, s", "again, s", "cache, MiB"
        print("| " + " | ".join(["records", "MiB", *heads]) + " |\n|" + "---:|" * (len(heads) + 2))
        for count in counts:
            root, cache = Path(place) / "results", Path(place) / "cache"
            env = {**os.environ, "XDG_CACHE_HOME": str(cache), "HOME": str(cache)}
            size = fill(root, like, count)
            (first, peak), (again, less) = read(root, count, env), read(root, count, env)
            kept = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
            shutil.rmtree(cache)
            tables = [table(root, env) for _ in range(2)]
            figures = [size / 2**20, first, again, peak, less, *tables, kept / 2**20]
            print(f"| {count:,} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |", flush=True)
            shutil.rmtree(root)
            shutil.rmtree(cache)


if __name__ == "__main__":
    main()
