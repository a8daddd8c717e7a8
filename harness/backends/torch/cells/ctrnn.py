"""Continuous-time recurrent network in PyTorch.

    dh/dt = -h / τ + tanh(h) W_hh + x_t W_xh + b_h          τ = exp(log_tau)
    h ← h + (dh/dt) / n                                     n times for each x_t
    h_t = h

1 / τ is computed once a pass.
"""

import torch

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import product


def precompute(p: Packed) -> Packed:
    """Adds 1 / τ (H,)."""
    return {**p, "rate": (-p["log_tau"]).exp()}


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, H) is x_t W_xh + b_h, state (h,) with h (B, H)."""
    (h,) = state
    n = int(options["substeps"])
    for _ in range(n):
        dh_dt = product(xw, h.tanh(), p, "weight_hh") - h * p["rate"]
        h = h + dh_dt / n
    return h, (h,)


pack, unpack = gates.packing(weight_ih="W_xh", weight_hh="W_hh", bias_ih="b_h", log_tau="log_tau")
