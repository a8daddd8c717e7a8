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

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import product


def project(xs: torch.Tensor, p: Packed) -> torch.Tensor:
    """The projected inputs of both nets and the inputs themselves: xs (T, B, I) -> (T, B, 2·H + I)."""
    return torch.cat([functional.linear(xs, p["weight_ih"], p["bias_ih"]), xs], dim=2)


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: state (h, l, error, surprises), h and l (B, H), Σ e and Σ s (B, 1)."""
    h, l, error, surprises = state
    H = h.shape[1]
    xw_l, xw_h, x = xw[:, :H], xw[:, H : 2 * H], xw[:, 2 * H :]
    prediction = product(p["bias_x"], l, p, "weight_lx")
    e = (x - prediction).square().mean(1, keepdim=True)
    surprised = e > float(options["threshold"])
    l = product(xw_l, l, p, "weight_ll").tanh()
    h = torch.where(surprised, product(xw_h, h, p, "weight_hh").tanh(), h)
    return h, (h, l, error + e, surprises + surprised)


pack, unpack = gates.packing(
    weight_ih="W_xl W_xh",
    bias_ih="b_l b_h",
    weight_ll="W_ll",
    weight_hh="W_hh",
    weight_lx="W_lx",
    bias_x="b_x",
)
