"""All steps of a linear recurrence at once.

    h_t = a_t ∘ h_{t-1} + b_t

is a composition of maps h -> a h + b. Two of them, first (a₁, b₁) and then (a₂, b₂), are one:
(a₂ a₁, a₂ b₁ + b₂). Doubling: after k rounds entry t holds the composition of the 2^k maps up to t.
"""

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from harness.backends.keras.engines import State, Tensor


def linear_recurrence(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """All h_t (T, B, H) of a, b (T, B, H), from the state h (B, H) before the first; log₂ T rounds."""
    T, d = b.shape[0], 1
    b = ops.concatenate([b[:1] + a[:1] * h, b[1:]])
    while d < T:
        b = ops.concatenate([b[:d], a[d:] * b[:-d] + b[d:]])
        a = ops.concatenate([a[:d], a[d:] * a[:-d]])
        d *= 2
    return b


def linear_cell(coefficients: Callable[[Tensor], tuple[Tensor, Tensor]]) -> tuple[Callable, Callable]:
    """`step` and `scan` of a cell with the state h (B, H), whose a and b (…, H) come from its inputs alone.

    Projected inputs xw (B, G·H) of one step give h and the next state, xw (T, B, G·H) of all steps give all
    h (T, B, H) and the last state.
    """

    def step(xw: Tensor, state: State, p: Sequence[Tensor], options: Any) -> tuple[Tensor, State]:
        a, b = coefficients(xw)
        h = a * state[0] + b
        return h, (h,)

    def scan(xw: Tensor, state: State, p: Sequence[Tensor], options: Any) -> tuple[Tensor, State]:
        hs = linear_recurrence(*coefficients(xw), state[0])
        return hs, (hs[-1],)

    return step, scan
