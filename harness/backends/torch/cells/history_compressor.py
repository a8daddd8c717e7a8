"""Neural history compressor in PyTorch.

    p_t = l_{t-1} W_lx + b_x
    e_t = mean_i (x_t - p_t)_i²
    s_t = 1 if e_t > θ else 0
    l_t = tanh(x_t W_xl + l_{t-1} W_ll + b_l)
    h_t = s_t tanh(x_t W_xh + h_{t-1} W_hh + b_h) + (1 - s_t) h_{t-1}

A comparison has no gradient, so that none flows through s_t.
"""

import torch
from torch.nn import functional

from harness.backends.base import Weights
from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State

NETS = ("l", "h")  # the lower and the upper one, side by side in the input's projection


def project(xs: torch.Tensor, p: Packed) -> torch.Tensor:
    """The projected inputs of both nets and the inputs themselves: xs (T, B, I) -> (T, B, 2·H + I)."""
    return torch.cat([functional.linear(xs, p["weight_ih"], p["bias_ih"]), xs], dim=2)


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: state (h, l, error, surprises), h and l (B, H), Σ e and Σ s (B, 1)."""
    h, l, error, surprises = state
    H = h.shape[1]
    xw_l, xw_h, x = xw[:, :H], xw[:, H : 2 * H], xw[:, 2 * H :]
    prediction = torch.addmm(p["bias_x"], l, p["weight_lx"].t())
    e = (x - prediction).square().mean(1, keepdim=True)
    surprised = e > float(options["threshold"])
    l = torch.addmm(xw_l, l, p["weight_ll"].t()).tanh()
    h = torch.where(surprised, torch.addmm(xw_h, h, p["weight_hh"].t()).tanh(), h)
    return h, (h, l, error + e, surprises + surprised)


def pack(weights: Weights) -> Weights:
    """Canonical parameters of one layer and direction to what is stored."""
    return {
        "weight_ih": gates.concatenate(weights, "W_x", NETS),
        "bias_ih": gates.concatenate(weights, "b_", NETS),
        "weight_ll": weights["W_ll"].T,
        "weight_hh": weights["W_hh"].T,
        "weight_lx": weights["W_lx"].T,
        "bias_x": weights["b_x"],
    }


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return {
        **gates.split(packed["weight_ih"], "W_x", NETS),
        **gates.split(packed["bias_ih"], "b_", NETS),
        "W_ll": packed["weight_ll"].T,
        "W_hh": packed["weight_hh"].T,
        "W_lx": packed["weight_lx"].T,
        "b_x": packed["bias_x"],
    }
