"""Echo state network in PyTorch.

    h_t = (1 - α) h_{t-1} + α tanh(x_t W_xh + h_{t-1} W_hh + b_h)

Nothing in it is trained: PyTorch records no gradient through its loop.
"""

import torch

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, H) is x_t W_xh + b_h, state (h,) with h (B, H)."""
    (h,) = state
    α = float(options["leak"])
    h = (1 - α) * h + α * torch.addmm(xw, h, p["weight_hh"].t()).tanh()
    return h, (h,)


pack, unpack = gates.packing(weight_ih="W_xh", weight_hh="W_hh", bias_ih="b_h")
