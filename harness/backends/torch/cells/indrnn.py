"""Independently recurrent network in PyTorch.

    h_t = max(0, x_t W_xh + u ∘ h_{t-1} + b_h)

The loop has no matrix product.
"""

import torch

from harness.backends.base import Weights
from harness.backends.torch.cells import Options, Packed, State


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, H) is x_t W_xh + b_h, state (h,) with h (B, H)."""
    (h,) = state
    h = torch.addcmul(xw, p["u"], h).relu()
    return h, (h,)


def pack(weights: Weights) -> Weights:
    """Canonical parameters of one layer and direction to what is stored."""
    return {"weight_ih": weights["W_xh"].T, "bias_ih": weights["b_h"], "u": weights["u"]}


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return {"W_xh": packed["weight_ih"].T, "u": packed["u"], "b_h": packed["bias_ih"]}
