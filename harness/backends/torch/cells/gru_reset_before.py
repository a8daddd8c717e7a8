"""Gated recurrent unit (reset before the product) in PyTorch.

    r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)
    z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)
    n_t = tanh(x_t W_xn + (r_t ∘ h_{t-1}) W_hn + b_n)
    h_t = (1 - z_t) ∘ n_t + z_t ∘ h_{t-1}

The candidate's product waits for the reset gate: W_hn is stored apart from W_hr and W_hz.
"""

import torch

from harness.backends.base import Weights
from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State

GATES = ("r", "z", "n")


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, G·H) is x_t W_x + b, state (h,) with h (B, H)."""
    (h,) = state
    H = h.shape[1]
    r, z = torch.addmm(xw[:, : 2 * H], h, p["weight_hh"].t()).sigmoid().chunk(2, dim=1)
    n = torch.addmm(xw[:, 2 * H :], r * h, p["weight_hn"].t()).tanh()
    h = n + z * (h - n)  # (1 - z) ∘ n + z ∘ h
    return h, (h,)


def pack(weights: Weights) -> Weights:
    """Canonical parameters of one layer and direction to what is stored."""
    return {
        "weight_ih": gates.concatenate(weights, "W_x", GATES),
        "weight_hh": gates.concatenate(weights, "W_h", ("r", "z")),
        "weight_hn": weights["W_hn"].T,
        "bias_ih": gates.concatenate(weights, "b_", GATES),
    }


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return {
        **gates.split(packed["weight_ih"], "W_x", GATES),
        **gates.split(packed["weight_hh"], "W_h", ("r", "z")),
        "W_hn": packed["weight_hn"].T,
        **gates.split(packed["bias_ih"], "b_", GATES),
    }
