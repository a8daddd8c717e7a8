"""The Elman network in PyTorch.

    a_t = x_t W_xh + h_{t-1} W_hh + b_h
    h_t = φ(a_t)                            φ = tanh or max(0, ·)

`nn.RNN` adds a second bias; here it is zero.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from harness.backends.base import Weights
from harness.backends.torch.gates import join, part
from harness.model import ModelSpec

GATES = ("h",)

State = tuple[torch.Tensor]


def step(xw: torch.Tensor, state: State, p: Mapping[str, torch.Tensor], *, activation: str = "tanh") -> State:
    """One time step: xw (B, H) is x_t W_x + b, state (h,) with h (B, H); returns the next state."""
    (h,) = state
    a = torch.addmm(xw, h, p["weight_hh"].t())
    h = a.tanh() if activation == "tanh" else a.relu()
    return (h,)


def fused(spec: ModelSpec) -> nn.RNN:
    """The stock layer: all layers and directions of the stack, time first."""
    return nn.RNN(
        spec.features,
        spec.hidden,
        num_layers=spec.layers,
        bidirectional=spec.bidirectional,
        nonlinearity=spec.options.get("activation", "tanh"),
    )


def pack(weights: Weights) -> Weights:
    """Canonical parameters of one layer and direction to the arrays of `nn.RNN`."""
    bias_ih = join(weights, "b_", GATES)
    return {
        "weight_ih": join(weights, "W_x", GATES),
        "weight_hh": join(weights, "W_h", GATES),
        "bias_ih": bias_ih,
        "bias_hh": np.zeros_like(bias_ih),
    }


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return {
        **part(packed["weight_ih"], "W_x", GATES),
        **part(packed["weight_hh"], "W_h", GATES),
        **part(packed["bias_ih"], "b_", GATES),
    }
