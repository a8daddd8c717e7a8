"""The matrix-multiply peak of a session's device, measured in the same process on the same threads."""

from functools import partial

from harness.backends.base import Session
from harness.measure.clock import timed

SIZES = (512, 1024, 2048)
SECONDS = 0.1


def matmul_peak(session: Session, sizes: tuple[int, ...] = SIZES) -> dict[int, float]:
    """FLOP/s of a square product by its size: the best of three windows of about SECONDS each.

    Best, not median, because a peak is what nothing disturbed.
    """
    found = {}
    for size in sizes:
        flops = 2 * size**3
        session.matmul(size, 1)
        _, once = timed(session, partial(session.matmul, size, 2))
        repeats = max(1, round(SECONDS / max(once / 2, 1e-6)))
        windows = [timed(session, partial(session.matmul, size, repeats))[1] for _ in range(3)]
        found[size] = flops * repeats / min(windows)
    return found
