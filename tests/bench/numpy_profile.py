"""Where the time of the NumPy reference goes: one shard of training, cell by cell, against the matrix peak.

    python tests/bench/numpy_profile.py
    python tests/bench/numpy_profile.py lstm gru --batch-size 256

A second thread looks 2,000 times a second at the line that the first one is in, which the kernels let it
do, since they leave the interpreter free; a line's own Python thus counts with the kernel that follows it.
Lines are sorted by what they say: matrix products, tanh and exp, copies from one layout to another, the
optimiser, and the rest, which is pointwise arithmetic.
"""

import argparse
import linecache
import os
import re
import sys
import threading
import time
from collections import Counter

import numpy as np
from threadpoolctl import threadpool_limits

from harness import api
from harness.backends.base import Session
from harness.data.dataset import Shape
from harness.launcher.preflight import checked_configuration
from harness.measure.clock import seconds

T, I, C, N = 28, 28, 10, 4096
KINDS = {
    "products": re.compile(r"matmul|np\.dot|@|outer\("),
    "tanh, exp": re.compile(r"tanh|np\.exp|sigmoid\("),
    "copies": re.compile(r"\] = [a-z._]+(\[.*\])?(\.transpose\(.*\))?$|= x\[rows\]"),
}
CELLS = [
    *("rnn", "gru", "lstm", "gru_reset_before", "peephole_lstm", "indrnn", "sru"),
    *("mingru", "minlstm", "jordan", "ctrnn", "hopfield"),
]
COLUMNS = ("cell", "ms per update", "sequences/s", "of peak", *KINDS, "pointwise", "optimiser")


def kind(file: str, line: int) -> str:
    """What a line of the backend does."""
    if file.endswith("optimizer.py"):
        return "optimiser"
    text = linecache.getline(file, line).split("  #")[0].strip()
    return next((name for name, pattern in KINDS.items() if pattern.search(text)), "pointwise")


def watch(thread: int, until: threading.Event, found: Counter[str]) -> None:
    """Counts the kinds of line that a thread is in, as far as they are the backend's."""
    while not until.is_set():
        time.sleep(5e-4)
        frame = sys._current_frames()[thread]
        while frame and "numpy" + os.sep not in frame.f_code.co_filename.partition("backends" + os.sep)[2]:
            frame = frame.f_back
        found[kind(frame.f_code.co_filename, frame.f_lineno) if frame else "rest"] += 1


def peak() -> float:
    """FLOP/s of a product of two (1024, 1024) matrices, the best of ten."""
    a = np.full((1024, 1024), 0.5, np.float32)
    taken = []
    for _ in range(10):
        start = seconds()
        np.matmul(a, a)
        taken.append(seconds() - start)
    return 2 * 1024**3 / min(taken)


def row(cell: str, batch: int, updates: int) -> str:
    """One line of the table."""
    overrides = [f"cell={cell}", "backend=numpy", "threads=1", "model.layers=1", f"train.batch_size={batch}"]
    config = checked_configuration(overrides)
    flops = config.model_spec(Shape(T, I, C)).training_flops_per_sequence()
    session: Session = api.open_session(overrides)
    rng = np.random.default_rng(0)
    session.load("train", rng.random((N, T, I), dtype=np.float32), rng.integers(0, C, N))
    batches, rates = rng.integers(0, N, (updates, batch)), np.full(updates, 1e-3)
    session.train(batches, rates)
    best = peak()
    taken = []
    for _ in range(5):
        start = seconds()
        session.train(batches, rates)
        taken.append(seconds() - start)
    found: Counter[str] = Counter()
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(threading.get_ident(), done, found))
    watcher.start()
    for _ in range(5):
        session.train(batches, rates)
    done.set()
    watcher.join()
    step = float(np.median(taken)) / updates
    share = flops * batch / step / best
    parts = [f"{found[name] / found.total():.0%}" for name in COLUMNS[4:]]
    return f"| {cell} | {step * 1e3:.2f} | {batch / step:,.0f} | {share:.2f} | {' | '.join(parts)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cells", nargs="*", default=CELLS, metavar="cell", help=f"default: {' '.join(CELLS)}")
    parser.add_argument("--batch-size", type=int, default=64, help="of the one shard; default: 64")
    parser.add_argument("--updates", type=int, default=30, help="in one window; default: 30")
    arguments = parser.parse_args()
    print(
        f"| cell | ms per update | sequences/s | of peak | {' | '.join((*KINDS, 'pointwise', 'optimiser'))} |"
    )
    print(f"|---|{'---:|' * (len(KINDS) + 5)}")
    with threadpool_limits(1, "blas"):
        for cell in arguments.cells:
            print(row(cell, arguments.batch_size, arguments.updates), flush=True)


if __name__ == "__main__":
    main()
