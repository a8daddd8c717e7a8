"""The whole model for one batch size: a stack of layers and directions, the readout and its loss."""

from typing import Any

import numpy as np

from harness.backends.numpy.bptt import Direction
from harness.backends.numpy.parameters import Factors, Layout, Views


class Network:
    """Buffers and passes for B columns. `keep=False` leaves out what only the way back needs."""

    def __init__(self, layout: Layout, *, batch: int, dtype: Any, keep: bool) -> None:
        model = layout.model
        self.model, self.batch = model, batch
        # x[l] is what layer l reads: (features + 1, T, B), the last row ones for the bias
        sizes = [model.layer_features(layer) for layer in range(model.layers)] + [model.width]
        self.x = [np.ones((size + 1, model.steps, batch), dtype) for size in sizes]
        self.layers = [
            [
                Direction(model, layout.cell, f"layers.{layer}.{d}", batch=batch, dtype=dtype, keep=keep)
                for d in model.directions
            ]
            for layer in range(model.layers)
        ]
        self.features = np.ones((model.width + 1, batch), dtype)
        self.logits = np.empty((model.classes, batch), dtype)
        if keep:
            self.dx = [np.empty((size, model.steps, batch), dtype) for size in sizes]

    def forward(self, factors: Factors, x: np.ndarray) -> np.ndarray:
        """Logits (C, B) of x (B, T, I); the result is overwritten by the next call."""
        self.x[0][:-1] = x.transpose(2, 1, 0)
        H = self.model.hidden
        for layer, directions in enumerate(self.layers):
            for d, direction in enumerate(directions):
                direction.forward(factors, self.x[layer], self.x[layer + 1][d * H : (d + 1) * H])
        top = self.x[-1]
        if self.model.readout == "mean":
            np.mean(top[:-1], axis=1, out=self.features[:-1])
        else:
            for d, direction in enumerate(self.layers[-1]):
                self.features[d * H : (d + 1) * H] = top[d * H : (d + 1) * H, direction.order[-1]]
        return np.matmul(factors.views.readout, self.features, out=self.logits)

    def sequence(self) -> np.ndarray:
        """The top layer's outputs of the last forward pass, copied: (B, T, D·H)."""
        return np.ascontiguousarray(self.x[-1][:-1].transpose(2, 1, 0))

    def gradients(self, factors: Factors, x: np.ndarray, y: np.ndarray, share: float, into: Views) -> float:
        """Fills `into` with the gradient of `share` × the sum of x's cross-entropies; returns that loss.

        x (B, T, I), y (B,) int64; with share = 1/B the loss is the batch's mean.
        """
        logits = self.forward(factors, x)
        columns = np.arange(self.batch)
        logits -= logits.max(axis=0)
        picked = logits[y, columns].sum(dtype=np.float64)
        np.exp(logits, out=logits)
        total = logits.sum(axis=0)
        loss = share * (float(np.log(total).sum(dtype=np.float64)) - float(picked))
        logits /= total
        logits[y, columns] -= 1
        logits *= share
        self._backward(factors.views, logits, into)
        return loss

    def _backward(self, weights: Views, dlogits: np.ndarray, into: Views) -> None:
        H, T = self.model.hidden, self.model.steps
        np.matmul(dlogits, self.features.T, out=into.readout)
        dfeatures = weights.readout[:, :-1].T @ dlogits
        dy = self.dx[-1]
        if self.model.readout == "mean":
            dfeatures /= T
            dy[...] = dfeatures[:, None]
        else:
            dy[...] = 0
            for d, direction in enumerate(self.layers[-1]):
                dy[d * H : (d + 1) * H, direction.order[-1]] = dfeatures[d * H : (d + 1) * H]
        for layer in range(self.model.layers - 1, -1, -1):
            below, scratch = self.dx[layer], None
            for d, direction in enumerate(self.layers[layer]):
                rows = slice(d * H, (d + 1) * H)
                block = weights.blocks[direction.prefix]
                da = direction.backward(
                    block,
                    into.blocks[direction.prefix],
                    self.x[layer],
                    self.x[layer + 1][rows],
                    self.dx[layer + 1][rows],
                )
                if layer == 0:
                    continue
                if d == 0:
                    np.matmul(block.x[:, :-1].T, da.reshape(len(da), -1), out=below.reshape(len(below), -1))
                else:
                    scratch = block.x[:, :-1].T @ da.reshape(len(da), -1)
                    below += scratch.reshape(below.shape)
