"""Echo state network in Keras.

    h_t = (1 - α) h_{t-1} + α tanh(x_t W_xh + h_{t-1} W_hh + b_h)

Stored are W_xh (I, H), W_hh (H, H), b_h (H,), none of them trained.
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, H) and the state (h (B, H),) -> h and the next state."""
    (h,), α = state, float(options["leak"])
    _, W_hh, _ = p
    h = (1 - α) * h + α * ops.tanh(xw + ops.matmul(h, W_hh))
    return h, (h,)


pack, unpack = gates.packing("W_xh", "W_hh", "b_h")
