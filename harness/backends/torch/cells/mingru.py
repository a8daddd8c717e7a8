"""Minimal gated recurrent unit in PyTorch.

    z_t = σ(x_t W_xz + b_z)
    n_t = x_t W_xn + b_n
    h_t = (1 - z_t) ∘ h_{t-1} + z_t ∘ n_t

No gate sees the state, so that a scan computes all steps at once.
"""

import torch

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.scan import linear_recurrence


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, G·H) is x_t W_x + b, state (h,) with h (B, H)."""
    (h,) = state
    xw_z, n = xw.chunk(2, dim=1)
    z = xw_z.sigmoid()
    h = (1 - z) * h + z * n
    return h, (h,)


def scan(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """All steps at once: xw (T, B, G·H)."""
    xw_z, n = xw.chunk(2, dim=2)
    z = xw_z.sigmoid()
    hs = linear_recurrence(1 - z, z * n, *state)
    return hs, (hs[-1],)


pack, unpack = gates.packing(weight_ih="W_xz W_xn", bias_ih="b_z b_n")
