"""Minimal gated recurrent unit in Keras.

    z_t = σ(x_t W_xz + b_z)                      update gate
    n_t = x_t W_xn + b_n                         candidate
    h_t = (1 - z_t) ∘ h_{t-1} + z_t ∘ n_t

Stored are W_x (I, 2H), b (2H,).
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Packed, Tensor
from harness.backends.keras.scan import linear_cell


def project(xs: Tensor, p: Packed) -> Tensor:
    """The gates: xs (…, I), of one step or of all -> (…, 2H)."""
    W_x, b = p
    return ops.matmul(xs, W_x) + b


def coefficients(xw: Tensor) -> tuple[Tensor, Tensor]:
    """What multiplies h_{t-1}, and what is added, of the gates (…, 2H)."""
    z, n = ops.split(xw, 2, axis=-1)
    z = ops.sigmoid(z)
    return 1 - z, z * n


step, scan = linear_cell(coefficients)
pack, unpack = gates.packing("W_xz W_xn", "b_z b_n")
