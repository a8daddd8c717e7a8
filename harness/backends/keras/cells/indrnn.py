"""Independently recurrent network in Keras.

    h_t = max(0, x_t W_xh + u ∘ h_{t-1} + b_h)

Stored are W_xh (I, H), u (H,), b_h (H,).
"""

from keras import ops

from harness.backends.keras import gates
from harness.backends.keras.cells import Options, Packed, State, Tensor


def step(xw: Tensor, state: State, p: Packed, options: Options) -> tuple[Tensor, State]:
    """One time step: the projected input xw (B, H) and the state (h (B, H),) -> h and the next state."""
    (h,) = state
    _, u, _ = p
    h = ops.relu(xw + u * h)
    return h, (h,)


pack, unpack = gates.packing("W_xh", "u", "b_h")
