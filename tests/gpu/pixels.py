"""Stage: permuted pixels, 784 steps, by PyTorch's own layer: trained for as many epochs as there is time for.

First each cell is timed by a run of `mode=throughput`, then it is trained, with the settings of
`+experiment=pixels`, for the epochs that fit into its share of what is left.
"""

import sys

from harness.measure.clock import seconds as clock
from harness.store.record import RunRecord
from tests.gpu.runs import records, sweep
from tests.gpu.stages import Job, job

CELLS = ("lstm", "gru")
COMMON = ("+experiment=pixels", "backend=torch", "backend.implementation=fused", "sequence=permuted")
SPEED = ("mode=throughput", "measure.seconds=1", "measure.window_seconds=0.2")
QUICK = ("data=digits", "data.limit=100", "cell.hidden=8", "train.batch_size=50", "threads=1")
# what a run has beside its epochs (start, parity over 784 steps, evaluation); how much longer one may take
START_SECONDS, MARGIN = 12.0, 1.2
EXAMPLES = 55_000  # of MNIST that train


def throughput(cell: str, given: Job) -> float | None:
    """Sequences/s in training, of the record that the run of that cell left; None where it was not ok."""
    found = [RunRecord.read(path) for path in records(given.output)]
    wanted = (cell, "permuted", "throughput")
    of_cell = [each for each in found if (each.cell, each.sequence, each.mode) == wanted]
    return of_cell[-1].train_throughput if of_cell else None


def epochs(rate: float, seconds: float) -> int:
    """How many fit into so many seconds; at least one."""
    return max(1, int((seconds - START_SECONDS) / (MARGIN * EXAMPLES / rate)))


def main() -> int:
    """0: every cell has been trained; 1: one has not."""
    given = job(__doc__)
    end = clock() + given.seconds
    quick = QUICK if given.quick else ()
    sweep([*COMMON, *SPEED, f"cell={','.join(CELLS)}", *quick], given, given.seconds / 2)
    failed = False
    for index, cell in enumerate(CELLS):
        seconds = (end - clock()) / (len(CELLS) - index)
        rate = throughput(cell, given)
        if rate is None:
            print(f"cell={cell}: its speed is not known")
            failed = True
            continue
        count = 1 if given.quick else epochs(rate, seconds)
        overrides = (*COMMON, "mode=train", f"cell={cell}", f"train.epochs={count}", *quick)
        failed |= sweep(overrides, given, seconds) != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
