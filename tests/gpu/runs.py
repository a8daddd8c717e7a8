"""Stage: runs by rows of MNIST, speed alone, as a person types them. Their records have parity, kernel, peak.

What is most important comes first; sweeps for which no time is left are named.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.measure.clock import seconds as clock
from tests.gpu.stages import Job, finish, job

COMMON = ("mode=throughput", "measure.seconds=1", "measure.window_seconds=0.05", "run.timeout_seconds=60")
QUICK = ("cell.hidden=8", "train.batch_size=16", "threads=1", "evaluate.batch_size=100")
LARGE = ("cell.hidden=1024", "train.batch_size=1024")
TORCH, KERAS = ("backend=torch",), ("backend=keras", "backend.engine=jax,torch")
FUSED = ("backend.implementation=fused",)
SWEEPS: tuple[tuple[str, ...], ...] = (
    (*TORCH, *FUSED, "cell=lstm", *LARGE, "precision=bfloat16"),
    (*TORCH, *FUSED, "cell=lstm,gru,rnn"),
    (*KERAS, *FUSED, "cell=lstm"),
    (*TORCH, *FUSED, "cell=lstm", "precision=bfloat16,tf32,float16"),
    (*TORCH, *FUSED, "cell=lstm", *LARGE, "precision=float32,tf32,float16"),
    (*TORCH, "backend.implementation=loop,compiled", "cell=lstm"),
    (*KERAS, "backend.implementation=compiled", "cell=lstm"),
    (*KERAS, *FUSED, "cell=gru,rnn"),
)
LEAST_SECONDS = 12.0  # below which no run is begun


def sweep(overrides: Sequence[str], given: Job, seconds: float) -> int:
    """The exit status of `run.py -m`, which has so many seconds."""
    command = ["run.py", "-m", f"device={given.device}", f"results.root={given.output}", *overrides]
    print(" ".join(command), flush=True)
    return finish(command, seconds)


def records(folder: Path) -> list[Path]:
    """The records that runs have left."""
    return sorted(folder.glob("runs/*/*/record.json"))


def main() -> int:
    """0: every run was ok; 1: one was not, or there was none."""
    given = job(__doc__)
    end = clock() + given.seconds
    codes = []
    for overrides in SWEEPS[1:2] if given.quick else SWEEPS:
        left = end - clock()
        if left < LEAST_SECONDS:
            print(f"no time left for {' '.join(overrides)}")
            continue
        size = ("data=digits", *QUICK) if given.quick else ("data=mnist",)
        codes.append(sweep([*COMMON, *size, *overrides], given, left))
    return int(any(codes) or not records(given.output))


if __name__ == "__main__":
    sys.exit(main())
