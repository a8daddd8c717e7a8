"""The Elman network in PyTorch.

    a_t = x_t W_xh + h_{t-1} W_hh + b_h
    h_t = φ(a_t)                            φ = tanh or max(0, ·)

`nn.RNN` adds a second bias; here it is zero.
"""

import torch
from torch import nn

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import product
from harness.model.network import ModelSpec


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, H) is x_t W_x + b, state (h,) with h (B, H)."""
    (h,) = state
    a = product(xw, h, p, "weight_hh")
    h = a.relu() if options["activation"] == "relu" else a.tanh()
    return h, (h,)


def fused_layer(spec: ModelSpec) -> nn.RNN:
    """The stock layer: all layers and directions of the stack, time first."""
    return nn.RNN(
        spec.features,
        spec.hidden,
        num_layers=spec.layers,
        bidirectional=spec.bidirectional,
        nonlinearity=spec.options["activation"],
    )


pack, unpack = gates.packing(weight_ih="W_xh", weight_hh="W_hh", bias_ih="b_h", second_bias=True)
