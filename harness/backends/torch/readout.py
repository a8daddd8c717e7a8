"""From the top layer's outputs to one vector per sequence.

Legend: T time steps, B batch, H hidden units, D directions, A units of the attention.
"""

from collections.abc import Mapping

import torch


def features(
    readout: str, ys: torch.Tensor | None, last: torch.Tensor, p: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """What the linear readout reads (B, D·H), of all outputs ys (T, B, D·H) or, if only those are needed,
    of the last ones (B, D·H)."""
    if ys is None or readout == "last":
        return last
    match readout:
        case "mean":
            return ys.mean(0)
        case "max":
            return ys.amax(0)  # shares its gradient evenly between equal outputs
        case "attention":
            return attention(ys, p["attention.W"], p["attention.b"], p["attention.v"])
    raise ValueError(f"readout={readout} is not one of harness.model.network.READOUTS")


def attention(ys: torch.Tensor, W: torch.Tensor, b: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Σ_t α_t y_t with α = softmax_t(v · tanh(y_t W + b)): ys (T, B, D·H), W (D·H, A), b and v (A,)."""
    scores = (ys @ W + b).tanh() @ v
    α = scores.softmax(0)
    return (α.unsqueeze(2) * ys).sum(0)
