"""How large the report of thousands of runs is, and how long until it can be used.

    python -m tests.bench.report [COUNT …]

Writes COUNT records (5,000) below a temporary directory, makes their report by the command and opens it in a
headless Chromium: seconds until the table of runs can be sorted and filtered, and until every chart is drawn.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.bench import store
from tests.conftest import environment
from tests.support.pages import chromium, opened, trained

COUNTS = (5_000,)


def fill(results: Path, count: int) -> None:
    """Stores so many runs that differ as those of a sweep do."""
    store.fill(results, asdict(trained("torch", "lstm", 0)), count)


def write(place: Path) -> Path:
    """The report of the results in a directory, by the command."""
    path = place / "report.html"
    command = [sys.executable, "-m", "harness", "report", str(path), "--results", str(place / "results")]
    env = environment(XDG_CACHE_HOME=str(place / "cache"))
    subprocess.run(command, cwd=store.ROOT, env=env, capture_output=True, check=True)
    return path


def main() -> None:
    counts = [int(text) for text in sys.argv[1:]] or COUNTS
    print("| runs | written, s | MiB | table, s | charts, s |\n|---:|---:|---:|---:|---:|")
    for count in counts:
        with tempfile.TemporaryDirectory() as name, chromium() as browser:
            fill(Path(name) / "results", count)
            start = time.perf_counter()
            path = write(Path(name))
            seconds = time.perf_counter() - start
            with opened(browser, path) as page:
                shown = page.evaluate("({...document.documentElement.dataset})")
            size = path.stat().st_size / 2**20
            ready, drawn = (int(shown[each]) / 1000 for each in ("ready", "drawn"))
            print(f"| {count:,} | {seconds:.1f} | {size:.2f} | {ready:.2f} | {drawn:.2f} |", flush=True)


if __name__ == "__main__":
    main()
