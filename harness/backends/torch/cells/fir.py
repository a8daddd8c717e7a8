"""Finite impulse recurrent network in PyTorch.

    h_t = φ(Σ_{k<K} x_{t-k} W_xh[k] + b_h)          φ = tanh or max(0, ·)

A convolution over time, whose kernel (H, I, K) begins with the oldest tap.
"""

import numpy as np
import torch
from torch.nn import functional

from harness.backends.base import Weights
from harness.backends.torch.cells import Options, Packed, State


def sequence(xs: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """All steps: xs (T, B, I), state (taps,) with the K - 1 inputs before them (B, (K-1)·I), oldest first.
    The K inputs that each step sees are laid side by side for one product."""
    z = delayed(xs, state, p)
    seen = z.unfold(0, p["weight"].shape[2], 1)  # (T, B, I, K)
    a = functional.linear(seen.flatten(2), p["weight"].flatten(1), p["bias"])
    return activated(a, options), taps_after(z, xs)


def fused_sequence(xs: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """The same by PyTorch's own convolution."""
    z = delayed(xs, state, p)
    a = functional.conv1d(z.permute(1, 2, 0), p["weight"], p["bias"])  # (B, H, T)
    return activated(a.permute(2, 0, 1), options), taps_after(z, xs)


def delayed(xs: torch.Tensor, state: State, p: Packed) -> torch.Tensor:
    """The inputs with those of the delay line before them (K-1+T, B, I)."""
    (taps,), K = state, p["weight"].shape[2]
    _, B, I = xs.shape
    return torch.cat([taps.view(B, K - 1, I).transpose(0, 1), xs])


def taps_after(z: torch.Tensor, xs: torch.Tensor) -> State:
    """The delay line that a next step finds: the last K - 1 inputs of z."""
    T, B, I = xs.shape
    return (z[T:].transpose(0, 1).reshape(B, (len(z) - T) * I),)


def activated(a: torch.Tensor, options: Options) -> torch.Tensor:
    """φ(a)."""
    return a.relu() if options["activation"] == "relu" else a.tanh()


def pack(weights: Weights) -> Weights:
    """Canonical parameters of one layer and direction to what is stored."""
    return {"weight": np.flip(weights["W_xh"], 0).transpose(2, 1, 0).copy(), "bias": weights["b_h"]}


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return {"W_xh": np.flip(packed["weight"].transpose(2, 1, 0), 0), "b_h": packed["bias"]}
