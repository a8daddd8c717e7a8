"""Long short-term memory in PyTorch.

    i_t = σ(x_t W_xi + h_{t-1} W_hi + b_i)
    f_t = σ(x_t W_xf + h_{t-1} W_hf + b_f)
    g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)
    o_t = σ(x_t W_xo + h_{t-1} W_ho + b_o)
    c_t = f_t ∘ c_{t-1} + i_t ∘ g_t
    h_t = o_t ∘ tanh(c_t)

`nn.LSTM` adds a second bias to every gate; here it is zero.
"""

import torch
from torch import nn

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import product
from harness.model.network import ModelSpec


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, G·H) is x_t W_x + b, state (h, c) each (B, H)."""
    h, c = state
    i, f, g, o = product(xw, h, p, "weight_hh").chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return h, (h, c)


def fused_layer(spec: ModelSpec) -> nn.LSTM:
    """The stock layer: all layers and directions of the stack, time first."""
    return nn.LSTM(spec.features, spec.hidden, num_layers=spec.layers, bidirectional=spec.bidirectional)


pack, unpack = gates.packing(
    weight_ih="W_xi W_xf W_xg W_xo",
    weight_hh="W_hi W_hf W_hg W_ho",
    bias_ih="b_i b_f b_g b_o",
    second_bias=True,
)
