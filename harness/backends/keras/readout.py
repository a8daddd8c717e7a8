"""From the top layer's outputs to one vector for each sequence, to logits, and what a loss adds."""

from collections.abc import Mapping, Sequence

from keras import ops

from harness.backends.keras.engines import Tensor
from harness.model.network import ModelSpec


def feature(model: ModelSpec, head: Mapping[str, Tensor], sequence: Tensor | None, last: Tensor) -> Tensor:
    """What the readout reads (B, D·H), of all outputs (B, T, D·H) or of the last ones (B, D·H).

    last, mean, max, or attention: α = softmax_t(v · tanh(y_t W + b)), Σ_t α_t y_t.
    """
    if model.readout == "last":
        return last
    if model.readout == "mean":
        return ops.mean(sequence, axis=1)
    if model.readout == "max":
        return ops.max(sequence, axis=1)
    W, b, v = (head[f"attention.{name}"] for name in ("W", "b", "v"))
    scores = ops.sum(ops.tanh(ops.matmul(sequence, W) + b) * v, axis=-1, keepdims=True)
    α = ops.softmax(scores, axis=1)
    return ops.sum(α * sequence, axis=1)


def logits(head: Mapping[str, Tensor], feature: Tensor) -> Tensor:
    """(B, C) of (B, D·H)."""
    return ops.matmul(feature, head["readout.W"]) + head["readout.b"]


def penalty(model: ModelSpec, begin: Sequence[Tensor] | None, end: Sequence[Tensor], steps: int) -> Tensor:
    """What the cell adds to the loss: the growth of a counter, which begins at zero unless states were
    handed over, as a mean over sequences and steps, times the option that weighs it."""
    assert model.spec.penalty
    counter, weight = model.spec.penalty
    total = 0.0
    for index, name in enumerate(model.states()):
        if name.endswith(f".{counter}"):
            growth = end[index] - begin[index] if begin else end[index]
            total = total + ops.mean(growth) / steps
    return total * float(model.options[weight])
