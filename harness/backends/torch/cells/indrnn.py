"""Independently recurrent network in PyTorch.

    h_t = max(0, x_t W_xh + u ∘ h_{t-1} + b_h)

The loop has no matrix product.
"""

import torch

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, H) is x_t W_xh + b_h, state (h,) with h (B, H)."""
    (h,) = state
    h = torch.addcmul(xw, p["u"], h).relu()
    return h, (h,)


pack, unpack = gates.packing(weight_ih="W_xh", bias_ih="b_h", u="u")
