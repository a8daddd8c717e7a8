"""Gated recurrent unit (reset before the product) in PyTorch.

    r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)
    z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)
    n_t = tanh(x_t W_xn + (r_t ∘ h_{t-1}) W_hn + b_n)
    h_t = (1 - z_t) ∘ n_t + z_t ∘ h_{t-1}

The candidate's product waits for the reset gate: W_hn is stored apart from W_hr and W_hz.
"""

import torch

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import product


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, G·H) is x_t W_x + b, state (h,) with h (B, H)."""
    (h,) = state
    H = h.shape[1]
    r, z = product(xw[:, : 2 * H], h, p, "weight_hh").sigmoid().chunk(2, dim=1)
    n = product(xw[:, 2 * H :], r * h, p, "weight_hn").tanh()
    h = n + z * (h - n)  # (1 - z) ∘ n + z ∘ h
    return h, (h,)


pack, unpack = gates.packing(
    weight_ih="W_xr W_xz W_xn", weight_hh="W_hr W_hz", weight_hn="W_hn", bias_ih="b_r b_z b_n"
)
