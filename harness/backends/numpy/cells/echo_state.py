"""Echo state network, pointwise; feature-major arrays (·, B).

    n_t = tanh(a)          h_t = (1 - α) h_{t-1} + α n_t

Backward, with dh the gradient by h_t:

    da = α dh ∘ (1 - n²)          dh_{t-1} = (1 - α) dh          (and through the product)
"""

import numpy as np

from harness.backends.base import Weights
from harness.backends.numpy.cells import Array, Options, State

X_GATES = ("h",)
H_GATES = ("h",)


class Tape:
    """What the backward pass needs: the activations before they leak in."""

    def __init__(self, slots: int, hidden: int, batch: int, dtype: np.dtype, options: Options) -> None:
        self.α = float(options["leak"])
        self.product = np.empty((slots, hidden, batch), dtype)

    def step(self, k: int, xw: Array, product: Array, x: Array, prev: State, p: Weights, y: Array) -> State:
        n = np.tanh(product, out=product)
        np.subtract(n, prev[0], out=y)
        y *= self.α
        y += prev[0]
        return (y,)

    def step_backward(
        self, k: int, dy: Array, d: list[Array], prev: State, new: State, p: Weights, dp: Weights, da: Array
    ) -> None:
        (dh,), n = d, self.product[k]
        np.multiply(n, n, out=da)
        np.subtract(1, da, out=da)
        da *= dh
        da *= self.α
        dh *= 1 - self.α
