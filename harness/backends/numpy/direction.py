"""One direction of one layer over a sequence: what every kind of it offers.

Arrays are feature-major with time in the middle, `(F, T, B)`: a step is the slice `[:, t]`, and the whole
of it is the matrix `(F, T·B)`. States are (length, B).
"""

from typing import Any, NamedTuple, Protocol

import numpy as np

from harness.backends.numpy.parameters import Block, Factors


class BufferShape(NamedTuple):
    """What the buffers of a pass are made for."""

    steps: int
    batch: int
    dtype: Any


class Pass(Protocol):
    """Buffers for T steps of B columns, forward and backward."""

    prefix: str
    last: int  # the time step of the last output
    flow: np.ndarray | None  # (T,) if asked for: ‖∂L/∂h_t‖ of the last backward pass

    def forward(
        self, factors: Factors, x: np.ndarray, y: np.ndarray, start: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Reads x (I+1, T, B), whose last row is ones, from the states `start`; writes its outputs to
        y (H, T, B) and returns the final states, which the next pass may overwrite."""

    def backward(
        self,
        factors: Factors,
        gradients: Block,
        x: np.ndarray,
        dy: np.ndarray,
        dstate: list[np.ndarray],
        dx: np.ndarray | None,
    ) -> None:
        """Reads dy (H, T, B), the gradient by the outputs, adds the cell's to `gradients`, which are zero
        before, and where wanted the one by the inputs to dx (I, T, B).

        `dstate` holds the gradient by the final states and becomes the one by the first.
        """
