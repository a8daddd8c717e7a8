"""Minimal long short-term memory in Keras.

    f_t = σ(x_t W_xf + b_f)                      forget gate
    i_t = σ(x_t W_xi + b_i)                      input gate
    n_t = x_t W_xn + b_n                         candidate
    h_t = (f_t ∘ h_{t-1} + i_t ∘ n_t) / (f_t + i_t)

Stored are W_x (I, 3H), b (3H,).
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Packed, Tensor
from harness.backends.keras.scan import linear_cell


def project(xs: Tensor, p: Packed) -> Tensor:
    """The gates: xs (…, I), of one step or of all -> (…, 3H)."""
    W_x, b = p
    return ops.matmul(xs, W_x) + b


def coefficients(xw: Tensor) -> tuple[Tensor, Tensor]:
    """What multiplies h_{t-1}, and what is added, of the gates (…, 3H)."""
    f, i, n = ops.split(xw, 3, axis=-1)
    f, i = ops.sigmoid(f), ops.sigmoid(i)
    return f / (f + i), i * n / (f + i)


step, scan = linear_cell(coefficients)
pack, unpack = gates.packing("W_xf W_xi W_xn", "b_f b_i b_n")
