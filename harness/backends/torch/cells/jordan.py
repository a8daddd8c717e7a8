"""Jordan network in PyTorch.

    h_t = tanh(x_t W_xh + y_{t-1} W_yh + b_h)
    y_t = tanh(h_t W_hy + b_y)

The output y alone is carried.
"""

import torch

from harness.backends.base import Weights
from harness.backends.torch.cells import Options, Packed, State


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, H) is x_t W_xh + b_h, state (y,) with y (B, H)."""
    (y,) = state
    h = torch.addmm(xw, y, p["weight_yh"].t()).tanh()
    y = torch.addmm(p["bias_y"], h, p["weight_hy"].t()).tanh()
    return y, (y,)


def pack(weights: Weights) -> Weights:
    """Canonical parameters of one layer and direction to what is stored."""
    return {
        "weight_ih": weights["W_xh"].T,
        "bias_ih": weights["b_h"],
        "weight_yh": weights["W_yh"].T,
        "weight_hy": weights["W_hy"].T,
        "bias_y": weights["b_y"],
    }


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return {
        "W_xh": packed["weight_ih"].T,
        "W_yh": packed["weight_yh"].T,
        "b_h": packed["bias_ih"],
        "W_hy": packed["weight_hy"].T,
        "b_y": packed["bias_y"],
    }
