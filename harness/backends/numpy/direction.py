"""One direction of one layer over a sequence: what every kind of it offers, and which kind a cell needs.

Arrays are feature-major with time in the middle, `(F, T, B)`: a step is the slice `[:, t]`, and the whole
of it is the matrix `(F, T·B)`. States are (length, B).
"""

from types import ModuleType
from typing import Any, Protocol

import numpy as np

from harness.backends.numpy.parameters import Block, Factors
from harness.model.network import ModelSpec


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
        y: np.ndarray,
        dy: np.ndarray,
        dstate: list[np.ndarray],
        dx: np.ndarray | None,
    ) -> None:
        """Reads dy (H, T, B), the gradient by the outputs, adds the cell's to `gradients`, which are zero
        before, and where wanted the one by the inputs to dx (I, T, B).

        `dstate` holds the gradient by the final states and becomes the one by the first.
        """


def make(
    model: ModelSpec,
    cell: ModuleType,
    prefix: str,
    features: int,
    *,
    steps: int,
    batch: int,
    dtype: Any,
    keep: bool,
    scan: bool,
    brief: bool,
) -> Pass:
    """The pass that a cell needs. `keep=False` keeps nothing for the backward pass, `scan` computes all steps
    at once, `brief` says that the loss depends on the last output alone."""
    from harness.backends.numpy.bptt import StepLoop
    from harness.backends.numpy.linear_recurrence import LinearRecurrence
    from harness.backends.numpy.whole_sequence import WholeSequence

    sizes: dict[str, Any] = {"steps": steps, "batch": batch, "dtype": dtype}
    if hasattr(cell, "Tape"):
        return StepLoop(model, cell, prefix, features, **sizes, keep=keep, brief=brief)
    if hasattr(cell, "coefficients"):
        return LinearRecurrence(model, cell, prefix, **sizes, scan=scan)
    return WholeSequence(model, cell, prefix, features, **sizes)
