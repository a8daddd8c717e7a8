"""Continuous Hopfield network in PyTorch.

    S = (W_hh + W_hhᵀ) / 2
    u ← u + δ (-u + tanh(u) S + x_t W_xh + b_h)          n times for each x_t
    h_t = tanh(u_t)

S, which is its own transpose, is computed once a pass.
"""

import torch

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.recurrent_product import product


def precompute(p: Packed) -> Packed:
    """Adds S (H, H)."""
    return {**p, "S": (p["weight_hh"] + p["weight_hh"].t()) / 2}


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, H) is x_t W_xh + b_h, state (u,) with u (B, H)."""
    (u,) = state
    δ = float(options["step_size"])
    for _ in range(int(options["substeps"])):
        u = u + δ * (product(xw, u.tanh(), p, "S") - u)
    return u.tanh(), (u,)


pack, unpack = gates.packing(weight_ih="W_xh", weight_hh="W_hh", bias_ih="b_h")
