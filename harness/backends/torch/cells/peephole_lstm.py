"""Long short-term memory with peepholes in PyTorch.

    i_t = σ(x_t W_xi + h_{t-1} W_hi + p_i ∘ c_{t-1} + b_i)
    f_t = σ(x_t W_xf + h_{t-1} W_hf + p_f ∘ c_{t-1} + b_f)
    g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)
    c_t = f_t ∘ c_{t-1} + i_t ∘ g_t
    o_t = σ(x_t W_xo + h_{t-1} W_ho + p_o ∘ c_t + b_o)
    h_t = o_t ∘ tanh(c_t)

The output gate sees the new cell state, the other two the old one.
"""

import torch

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import product


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, G·H) is x_t W_x + b, state (h, c) each (B, H)."""
    h, c = state
    a_i, a_f, a_g, a_o = product(xw, h, p, "weight_hh").chunk(4, dim=1)
    i = (a_i + p["p_i"] * c).sigmoid()
    f = (a_f + p["p_f"] * c).sigmoid()
    c = f * c + i * a_g.tanh()
    o = (a_o + p["p_o"] * c).sigmoid()
    h = o * c.tanh()
    return h, (h, c)


pack, unpack = gates.packing(
    weight_ih="W_xi W_xf W_xg W_xo",
    weight_hh="W_hi W_hf W_hg W_ho",
    bias_ih="b_i b_f b_g b_o",
    p_i="p_i",
    p_f="p_f",
    p_o="p_o",
)
