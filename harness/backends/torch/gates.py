"""From canonical arrays to those that PyTorch stores, which hold the gates one below the other.

Legend: I input features, H hidden units.
"""

from collections.abc import Callable

import numpy as np

from harness.backends.base import Weights

Pack = Callable[[Weights], Weights]


def packing(*, second_bias: bool = False, **stored: str) -> tuple[Pack, Pack]:
    """`pack` and `unpack` of a cell, each canonical array transposed.

    `weight_ih="W_xz W_xn"` is one stored array (2H, I), `bias_ih="b_z b_n"` one of (2H,). With `second_bias`
    there is also the bias_hh that stock layers add: zero, and never trained.
    """
    names = {array: gates.split() for array, gates in stored.items()}

    def pack(weights: Weights) -> Weights:
        packed = {
            array: np.concatenate([weights[name].T for name in gates]) for array, gates in names.items()
        }
        return packed | ({"bias_hh": np.zeros_like(packed["bias_ih"])} if second_bias else {})

    def unpack(packed: Weights) -> Weights:
        return {
            name: piece.T
            for array, gates in names.items()
            for name, piece in zip(gates, np.split(packed[array], len(gates)), strict=True)
        }

    return pack, unpack
