"""The product of two square float32 matrices in NumPy: what the processor can do at best."""

import numpy as np

from tests.bench.task import Side, Task


def open_side(task: Task, *, size: int) -> Side:
    """An update is one product of two (size, size) matrices."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, size, size), dtype=np.float32)
    out = np.empty_like(a)

    def window(updates: int) -> None:
        for _ in range(updates):
            np.matmul(a, b, out=out)

    return Side(window, 2.0 * size**3)
