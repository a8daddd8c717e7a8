"""From the outputs of the top layer to one vector per sequence, forward and backward.

y (D·H, T, B) -> features (D·H, B). `last` takes each direction's own last step.
"""

import numpy as np

from harness.backends.base import Weights
from harness.model.network import ModelSpec


class Readout:
    """Keeps what the backward pass needs of the forward pass: one object for each network."""

    def __init__(self, model: ModelSpec, lasts: list[int]) -> None:
        self.kind, self.H, self.lasts = model.readout, model.hidden, lasts

    def last(self, y: np.ndarray, into: np.ndarray) -> None:
        for d, t in enumerate(self.lasts):
            rows = slice(d * self.H, (d + 1) * self.H)
            into[rows] = y[rows, t]

    def forward(self, attention: Weights, y: np.ndarray, into: np.ndarray) -> None:
        """Writes the features of y to `into` (D·H, B)."""
        match self.kind:
            case "last":
                self.last(y, into)
            case "mean":
                np.mean(y, axis=1, out=into)
            case "max":
                np.max(y, axis=1, out=into)
            case "attention":
                flat = y.reshape(len(y), -1)
                self.s = np.tanh(attention["W"].T @ flat + attention["b"][:, None])  # (A, T·B)
                scores = (attention["v"] @ self.s).reshape(y.shape[1:])
                scores -= scores.max(axis=0)
                np.exp(scores, out=scores)
                self.α = scores / scores.sum(axis=0)
                np.einsum("ftb,tb->fb", y, self.α, out=into)

    def backward(
        self, attention: Weights, gradients: Weights, y: np.ndarray, d: np.ndarray, dy: np.ndarray
    ) -> None:
        """Fills dy from d (D·H, B), the gradient by the features, and `gradients` of the attention."""
        match self.kind:
            case "last":
                dy[...] = 0
                for k, t in enumerate(self.lasts):
                    rows = slice(k * self.H, (k + 1) * self.H)
                    dy[rows, t] = d[rows]
            case "mean":
                dy[...] = (d / y.shape[1])[:, None]
            case "max":
                top = y == y.max(axis=1, keepdims=True)
                np.multiply(top, (d / top.sum(axis=1))[:, None], out=dy)
            case "attention":
                dα = np.einsum("ftb,fb->tb", y, d)
                dscores = self.α * (dα - (self.α * dα).sum(axis=0))
                ds = np.outer(attention["v"], dscores) * (1 - self.s * self.s)
                gradients["v"][...] = self.s @ dscores.reshape(-1)
                gradients["b"][...] = ds.sum(axis=1)
                np.matmul(y.reshape(len(y), -1), ds.T, out=gradients["W"])
                np.multiply(d[:, None], self.α[None], out=dy)
                dy += (attention["W"] @ ds).reshape(dy.shape)
