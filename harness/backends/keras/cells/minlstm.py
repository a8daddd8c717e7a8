"""Minimal long short-term memory in Keras.

    f_t = σ(x_t W_xf + b_f)                      forget gate
    i_t = σ(x_t W_xi + b_i)                      input gate
    n_t = x_t W_xn + b_n                         candidate
    h_t = (f_t ∘ h_{t-1} + i_t ∘ n_t) / (f_t + i_t)

Stored are W_x (I, 3H), b (3H,).
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor
from harness.backends.keras.scan import linear_recurrence


def project(xs: Tensor, p: Packed) -> Tensor:
    """The gates: xs (…, I), of one step or of all -> (…, 3H)."""
    W_x, b = p
    return ops.matmul(xs, W_x) + b


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the gates xw (B, 3H) and the state (h (B, H),) -> h and the next state."""
    (h,) = state
    keep, new = _coefficients(xw)
    h = keep * h + new
    return h, (h,)


def scan(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """All time steps at once: the gates xw (T, B, 3H) and the state (h (B, H),) -> all h (T, B, H) and
    the last state."""
    (h,) = state
    hs = linear_recurrence(*_coefficients(xw), h)
    return hs, (hs[-1],)


def _coefficients(xw: Tensor) -> tuple[Tensor, Tensor]:
    """What multiplies h_{t-1}, and what is added, of the gates (…, 3H)."""
    f, i, n = ops.split(xw, 3, axis=-1)
    f, i = ops.sigmoid(f), ops.sigmoid(i)
    return f / (f + i), i * n / (f + i)


pack, unpack = gates.packing("W_xf W_xi W_xn", "b_f b_i b_n")
