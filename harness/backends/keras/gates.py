"""From canonical arrays to those that Keras stores, which hold the gates side by side.

Legend: I input features, H hidden units.
"""

from collections.abc import Callable, Sequence

import numpy as np

from harness.backends.base import Weights

Pack = Callable[[Weights], list[np.ndarray]]
Unpack = Callable[[Sequence[np.ndarray]], Weights]


def packing(*stored: str) -> tuple[Pack, Unpack]:
    """`pack` and `unpack` of a cell. "W_xz W_xn" is one stored array (I, 2H), "b_z b_n" one of (2H,)."""
    names = [array.split() for array in stored]

    def pack(weights: Weights) -> list[np.ndarray]:
        return [np.concatenate([weights[name] for name in gates], axis=-1) for gates in names]

    def unpack(p: Sequence[np.ndarray]) -> Weights:
        return {
            name: piece
            for gates, array in zip(names, p, strict=True)
            for name, piece in zip(gates, np.split(array, len(gates), axis=-1), strict=True)
        }

    return pack, unpack
