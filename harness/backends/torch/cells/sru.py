"""Simple recurrent unit in PyTorch.

    f_t = σ(x_t W_xf + v_f ∘ c_{t-1} + b_f)
    r_t = σ(x_t W_xr + v_r ∘ c_{t-1} + b_r)
    c_t = f_t ∘ c_{t-1} + (1 - f_t) ∘ (x_t W_xn)
    h_t = r_t ∘ c_t + (1 - r_t) ∘ (x_t W_xk)

The gates alone have a bias and see the state.
"""

import torch
from torch.nn import functional

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State


def project(xs: torch.Tensor, p: Packed) -> torch.Tensor:
    """x_t W_x, with the gates' biases: xs (T, B, I) -> (T, B, 4·H)."""
    bias = functional.pad(p["bias"], (0, len(p["bias"])))
    return functional.linear(xs, p["weight_ih"], bias)


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, 4·H), state (c,) with c (B, H)."""
    (c,) = state
    xw_f, xw_r, xw_n, xw_k = xw.chunk(4, dim=1)
    f = (xw_f + p["v_f"] * c).sigmoid()
    r = (xw_r + p["v_r"] * c).sigmoid()
    c = f * c + (1 - f) * xw_n
    h = r * c + (1 - r) * xw_k
    return h, (c,)


pack, unpack = gates.packing(weight_ih="W_xf W_xr W_xn W_xk", bias="b_f b_r", v_f="v_f", v_r="v_r")
