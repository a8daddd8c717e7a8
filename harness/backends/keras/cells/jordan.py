"""Jordan network in Keras.

    h_t = tanh(x_t W_xh + y_{t-1} W_yh + b_h)          hidden units
    y_t = tanh(h_t W_hy + b_y)                         output units

Stored are W_xh (I, H), W_yh (H, H), b_h (H,), W_hy (H, H), b_y (H,).
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, H) and the state (y (B, H),) -> y and the next state."""
    (y,) = state
    _, W_yh, _, W_hy, b_y = p
    h = ops.tanh(xw + ops.matmul(y, W_yh))
    y = ops.tanh(ops.matmul(h, W_hy) + b_y)
    return y, (y,)


pack, unpack = gates.packing("W_xh", "W_yh", "b_h", "W_hy", "b_y")
