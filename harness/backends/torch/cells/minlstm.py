"""Minimal long short-term memory in PyTorch.

    f_t = σ(x_t W_xf + b_f)
    i_t = σ(x_t W_xi + b_i)
    n_t = x_t W_xn + b_n
    h_t = (f_t ∘ h_{t-1} + i_t ∘ n_t) / (f_t + i_t)

No gate sees the state, so that a scan computes all steps at once.
"""

import torch

from harness.backends.torch import gates
from harness.backends.torch.cells import Options, Packed, State
from harness.backends.torch.scan import linear_recurrence


def step(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """One time step: xw (B, G·H) is x_t W_x + b, state (h,) with h (B, H)."""
    (h,) = state
    xw_f, xw_i, n = xw.chunk(3, dim=1)
    f, i = xw_f.sigmoid(), xw_i.sigmoid()
    h = (f * h + i * n) / (f + i)
    return h, (h,)


def scan(xw: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """All steps at once: xw (T, B, G·H)."""
    xw_f, xw_i, n = xw.chunk(3, dim=2)
    f, i = xw_f.sigmoid(), xw_i.sigmoid()
    hs = linear_recurrence(f / (f + i), i * n / (f + i), *state)
    return hs, (hs[-1],)


pack, unpack = gates.packing(weight_ih="W_xf W_xi W_xn", bias_ih="b_f b_i b_n")
