"""Echo state network in PyTorch.

    h_t = (1 - α) h_{t-1} + α tanh(x_t W_xh + h_{t-1} W_hh + b_h)

Nothing in it is trained: PyTorch records no gradient through its loop.
"""

import torch

from harness.backends.base import Weights
from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State

GATES = ("h",)


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, H) is x_t W_xh + b_h, state (h,) with h (B, H)."""
    (h,) = state
    α = float(options["leak"])
    h = (1 - α) * h + α * torch.addmm(xw, h, p["weight_hh"].t()).tanh()
    return h, (h,)


def pack(weights: Weights) -> Weights:
    """Canonical parameters of one layer and direction to what is stored."""
    return gates.pack(weights, GATES)


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return gates.unpack(packed, GATES)
