"""One file per cell: its step forward and backward, pointwise, on feature-major arrays (·, B).

See `harness.backends.numpy.bptt` for what a `Tape` is, `linear.py` and `whole.py` for cells without one.
`forward` gets a step's input sides that stand alone, a ((Gx-SHARED)·H, B), its product b (Gh·H, B): whole
pre-activations of shared gates and recurrent sides that stand alone; the raw input x (I, B), the states
before it and the cell's other parameters. It writes the output y (H, B) and returns the states after it.
`backward` turns d, the gradients by the states after the step, into those by the states before it (the
recurrent product's own part is added by the loop), writes da and adds to dp. Where the output is not the
first state, `receive` brings its gradient into d first. `prepare` comes before the first step forward;
`finish` after the last one back, with the da of all steps (rows, T·B) and the outputs before each (H, T·B).

A tape may say where the products are to be written: `b` (slots, Gh·H, B). What becomes of them there is
kept for the way back without a copy. It may own `da` (rows, B) too.
"""

import numpy as np

State = tuple[np.ndarray, ...]


def sigmoid(a: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """σ(a) = (1 + tanh(a / 2)) / 2, which no a overflows."""
    found = np.multiply(a, 0.5, out=out)
    np.tanh(found, out=found)
    found *= 0.5
    found += 0.5
    return found


def outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Σ_B a bᵀ (n, m) of a (n, B) and b (m, B): the gradient of W (n, m) in aᵀ W, with b by the product."""
    return a @ b.T
