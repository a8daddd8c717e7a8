"""One file per cell, on feature-major arrays: (·, B), or (·, T, B) of a whole sequence.

Besides `step`, `precompute` and `sequence`, which every backend has (docs/adding-a-cell.md), there is the
backward pass of each, and the parameters of one layer and direction are one mapping p under their canonical
names, with dp for their gradients. A file has one of these three:

class Tape
    A cell with a step. `Tape(slots, hidden, batch, dtype, options)` keeps what the backward pass needs, in
    one slot for each step; without a backward pass there is a single slot. k counts the steps in the order
    of reading.

    step(k, xw, product, x, prev, p, y) -> new
        xw ((Gx-shared)·H, B) are the input sides of the gates that are not shared. product (Gh·H, B) has
        the whole pre-activations of shared gates and the recurrent sides of the others. x (I, B) is the
        raw input. Writes the output to y (H, B) and turns the states `prev` into those after the step.
    step_backward(k, dy, d, prev, new, p, dp, da)
        Turns d, the gradients by the states after the step, into those by the states before it, without
        the part that goes through the recurrent product, which the loop adds. Writes da (rows, B), adds
        to dp.
    precompute(p)                         optional: what all steps share, before the first step
    output_backward(k, dy, y, d)          adds the gradient by the output to d, where SPEC says that the
                                          output is not the first state
    parameters_backward(da, before, dp)   optional: adds to dp after the last step back, from the da of all
                                          steps (rows, T·B) and the outputs before each (H, T·B)

    It may own the arrays that the loop writes to: `product` (slots, Gh·H, B), so that what the step makes
    of it is kept without a copy, and `da` (rows, B).

coefficients(a) -> (α, β, saved), coefficients_backward(dα, dβ, saved, da)
    A recurrence h_t = α_t ∘ h_{t-1} + β_t from the projected inputs a (Gx·H, T, B); the second writes da.

sequence(xs, state, p, options) -> (ys, state, saved)
sequence_backward(dys, saved, p, dp, options) -> (dxs, dstate, dh)
    A cell without a step: xs (I, T, B) in the order of reading -> ys (H, T, B), or (H, 1, B). The second
    adds to dp; dh (H, T, B) are the gradients whose norm is the gradient flow.

The constants X_GATES, H_GATES, HALVED_GATES and H_ONLY_IN_PRODUCT are explained in
`harness.backends.numpy.gates`.

Legend: T time steps, B batch, I input features, H hidden units, Gx and Gh gates in X_GATES and H_GATES.
"""

from collections.abc import Mapping

import numpy as np

from harness.model.cell import Value

Array = np.ndarray
State = tuple[Array, ...]
Options = Mapping[str, Value]


def sigmoid(a: Array, out: Array | None = None) -> Array:
    """σ(a) = (1 + tanh(a / 2)) / 2, which no a overflows."""
    σ = np.multiply(a, 0.5, out=out)
    np.tanh(σ, out=σ)
    σ *= 0.5
    σ += 0.5
    return σ


def outer(a: Array, b: Array) -> Array:
    """Σ_B a bᵀ (n, m) of a (n, B) and b (m, B): the gradient of W (n, m) in aᵀ W, with b by the product."""
    return a @ b.T
