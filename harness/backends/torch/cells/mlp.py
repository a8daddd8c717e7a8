"""Multilayer perceptron in PyTorch.

    h = φ(Σ_t x_t W_xh[t] + b_h)                            φ = max(0, ·) or tanh

The weights are stored as (H, T, I).
"""

import torch
from torch.nn import functional

from harness.backends.base import Weights
from harness.backends.torch.cells import Options, Packed, State


def sequence(xs: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """The hidden layer (1, B, H) over xs (T, B, I), summed over steps and features."""
    a = torch.einsum("tbi,hti->bh", xs, p["weight"]) + p["bias"]
    return activated(a, options).unsqueeze(0), state


def fused_sequence(xs: torch.Tensor, state: State, p: Packed, options: Options) -> tuple[torch.Tensor, State]:
    """The same by PyTorch's own linear layer over the flattened sequence."""
    a = functional.linear(xs.transpose(0, 1).flatten(1), p["weight"].flatten(1), p["bias"])
    return activated(a, options).unsqueeze(0), state


def activated(a: torch.Tensor, options: Options) -> torch.Tensor:
    """φ(a)."""
    return a.relu() if options["activation"] == "relu" else a.tanh()


def pack(weights: Weights) -> Weights:
    """Canonical parameters to what is stored."""
    return {"weight": weights["W_xh"].transpose(2, 0, 1), "bias": weights["b_h"]}


def unpack(packed: Weights) -> Weights:
    """The inverse of `pack`, for weights and for gradients."""
    return {"W_xh": packed["weight"].transpose(1, 2, 0), "b_h": packed["bias"]}
