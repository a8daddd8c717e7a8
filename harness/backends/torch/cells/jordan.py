"""Jordan network in PyTorch.

    h_t = tanh(x_t W_xh + y_{t-1} W_yh + b_h)
    y_t = tanh(h_t W_hy + b_y)

The output y alone is carried.
"""

import torch

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import product


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, H) is x_t W_xh + b_h, state (y,) with y (B, H)."""
    (y,) = state
    h = product(xw, y, p, "weight_yh").tanh()
    y = product(p["bias_y"], h, p, "weight_hy").tanh()
    return y, (y,)


pack, unpack = gates.packing(
    weight_ih="W_xh", bias_ih="b_h", weight_yh="W_yh", weight_hy="W_hy", bias_y="b_y"
)
