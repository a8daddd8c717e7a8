"""Gated recurrent unit (reset after the product) in PyTorch.

    r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)
    z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)
    n_t = tanh(x_t W_xn + b_n + r_t ∘ (h_{t-1} W_hn + b_hn))
    h_t = (1 - z_t) ∘ n_t + z_t ∘ h_{t-1}

`nn.GRU` adds a second bias to every gate: the candidate's is b_hn, those of r and z are zero here.
"""

import numpy as np
import torch
from torch import nn

from harness.backends.base import Weights
from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import product
from harness.model.network import ModelSpec

pack_gates, unpack_gates = gates.packing(
    weight_ih="W_xr W_xz W_xn", weight_hh="W_hr W_hz W_hn", bias_ih="b_r b_z b_n"
)


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, G·H) is x_t W_x + b, state (h,) with h (B, H)."""
    (h,) = state
    hw = product(p["bias_hh"], h, p, "weight_hh")
    xw_r, xw_z, xw_n = xw.chunk(3, dim=1)
    hw_r, hw_z, hw_n = hw.chunk(3, dim=1)
    r = (xw_r + hw_r).sigmoid()
    z = (xw_z + hw_z).sigmoid()
    n = (xw_n + r * hw_n).tanh()
    h = n + z * (h - n)  # (1 - z) ∘ n + z ∘ h
    return h, (h,)


def fused_layer(spec: ModelSpec) -> nn.GRU:
    """The stock layer: all layers and directions of the stack, time first."""
    return nn.GRU(spec.features, spec.hidden, num_layers=spec.layers, bidirectional=spec.bidirectional)


def pack(weights: Weights) -> Weights:
    """Canonical parameters of one layer and direction to the arrays of `nn.GRU`."""
    b_hn = weights["b_hn"]
    bias_hh = np.concatenate([np.zeros_like(b_hn), np.zeros_like(b_hn), b_hn])
    return {**pack_gates(weights), "bias_hh": bias_hh}


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    _, _, b_hn = np.split(packed["bias_hh"], 3)
    return {**unpack_gates(packed), "b_hn": b_hn}
