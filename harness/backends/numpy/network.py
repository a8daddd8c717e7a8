"""The whole model for one batch size and length: a stack of layers and directions, readout and loss."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from harness.backends.numpy.bptt import StepLoop
from harness.backends.numpy.direction import BufferShape, Pass
from harness.backends.numpy.linear_recurrence import LinearRecurrence
from harness.backends.numpy.parameters import Factors, Layout, Views
from harness.backends.numpy.readout import Readout
from harness.backends.numpy.whole_sequence import WholeSequence
from harness.model.network import ModelSpec

DropoutMasks = Callable[[int, np.ndarray], None]  # fills the mask (D·H, T, B) above layer 0, 1, …
BlockStates = list[list[np.ndarray]]  # of every block in canonical order: its states, each (length, B)


class Network:
    """Buffers and passes for T steps of B columns. `keep=False` leaves out what only the backward pass needs.

    `final` are the states after the last forward pass, copied.
    """

    def __init__(
        self, layout: Layout, *, steps: int, batch: int, dtype: Any, keep: bool, scan: bool = False
    ) -> None:
        model = layout.model
        self.model, self.steps, self.batch, self.dtype = model, steps, batch, dtype
        out = 1 if model.spec.single_output else steps
        # x[l] is what layer l reads, y[l] what it gives: (features + 1, T, B), the last row ones for the
        # bias; the same array unless dropout comes between
        self.x = [np.ones((model.features + 1, steps, batch), dtype)]
        self.y = [np.ones((model.width + 1, out, batch), dtype) for _ in range(model.layers)]
        self.x += [np.ones_like(y) if model.dropout else y for y in self.y[:-1]]
        D = len(model.directions)
        passes = [
            _make_pass(
                model,
                layout.cell,
                prefix,
                features,
                BufferShape(steps, batch, dtype),
                keep=keep,
                scan=scan,
                brief=model.readout == "last" and block >= D * (model.layers - 1),
            )
            for block, (prefix, features) in enumerate(model.blocks())
        ]
        self.layers: list[list[Pass]] = [passes[k : k + D] for k in range(0, len(passes), D)]
        self.readout = Readout(model, [one.last for one in self.layers[-1]])
        self.features = np.ones((model.width + 1, batch), dtype)
        self.logits = np.empty((model.classes, batch), dtype)
        self.start: BlockStates = []
        self.final: BlockStates = []
        if keep:
            self.dy = [np.empty((model.width, out, batch), dtype) for _ in range(model.layers)]
            self.masks = [np.empty((model.width, out, batch), dtype) for _ in range(model.layers - 1)]

    def forward(
        self,
        factors: Factors,
        x: np.ndarray,
        start: BlockStates | None = None,
        drop: DropoutMasks | None = None,
    ) -> np.ndarray:
        """Logits (C, B) of x (B, T, I) from the states `start`, else the model's own; the result is
        overwritten by the next call. Outputs between layers are multiplied by the masks of `drop`."""
        self.x[0][:-1] = x.transpose(2, 1, 0)
        H, final = self.model.hidden, []
        self.start = start if start is not None else initial_states(self.model, factors.views, self.batch)
        states = iter(self.start)
        for layer, directions in enumerate(self.layers):
            y = self.y[layer]
            for d, one in enumerate(directions):
                rows = slice(d * H, (d + 1) * H)
                final.append([s.copy() for s in one.forward(factors, self.x[layer], y[rows], next(states))])
            if self.model.dropout and layer + 1 < len(self.layers):
                self._drop(layer, drop)
        self.final = final
        self.readout.forward(factors.views.attention, self.y[-1][:-1], self.features[:-1])
        return np.matmul(factors.views.readout, self.features, out=self.logits)

    def sequence(self) -> np.ndarray:
        """The top layer's outputs of the last forward pass, copied: (B, T, D·H)."""
        return np.ascontiguousarray(self.y[-1][:-1].transpose(2, 1, 0))

    def last(self) -> np.ndarray:
        """What each direction gave after its own whole pass, copied: (B, D·H)."""
        last = np.empty((self.model.width, self.batch), self.dtype)
        self.readout.last(self.y[-1][:-1], last)
        return np.ascontiguousarray(last.T)

    def gradients(
        self,
        factors: Factors,
        x: np.ndarray,
        y: np.ndarray,
        share: float,
        into: Views,
        start: BlockStates | None = None,
        drop: DropoutMasks | None = None,
    ) -> float:
        """Fills `into`, zero before, with the gradient of `share` × the sum of x's losses; returns that loss.

        x (B, T, I), y (B,) int64; with share = 1/B the loss is the batch's mean. Where states are given,
        no gradient reaches what came before them.
        """
        logits = self.forward(factors, x, start, drop)
        columns = np.arange(self.batch)
        logits -= logits.max(axis=0)
        picked = logits[y, columns].sum(dtype=np.float64)
        np.exp(logits, out=logits)
        total = logits.sum(axis=0)
        loss = share * (float(np.log(total).sum(dtype=np.float64)) - float(picked))
        logits /= total
        logits[y, columns] -= 1
        logits *= share
        weight, counted = self._penalty(share)
        if counted is not None:
            grown = [end[counted] - begin[counted] for end, begin in zip(self.final, self.start, strict=True)]
            loss += weight * sum(float(g.sum(dtype=np.float64)) for g in grown)
        dstart = self._backward(factors, logits, into, weight, counted, dropped=drop is not None)
        if start is None:
            self._learn_start(into, dstart)
        return loss

    def _penalty(self, share: float) -> tuple[float, int | None]:
        """What a unit of the penalised state costs, and which state of a block it is."""
        if self.model.spec.penalty is None:
            return 0.0, None
        state, option = self.model.spec.penalty
        names = [s.name for s in self.model.spec.state]
        return float(self.model.options[option]) * share / self.steps, names.index(state)

    def _backward(
        self,
        factors: Factors,
        dlogits: np.ndarray,
        into: Views,
        weight: float,
        counted: int | None,
        *,
        dropped: bool,
    ) -> BlockStates:
        """The gradient by the first states of every block."""
        H, model, weights = self.model.hidden, self.model, factors.views
        np.matmul(dlogits, self.features.T, out=into.readout)
        dfeatures = weights.readout[:, :-1].T @ dlogits
        self.readout.backward(weights.attention, into.attention, self.y[-1][:-1], dfeatures, self.dy[-1])
        dstates = [[np.zeros_like(s) for s in block] for block in self.start]
        for block in dstates:
            if counted is not None:
                block[counted] += weight
        D = len(model.directions)
        for layer in range(model.layers - 1, -1, -1):
            below = self.dy[layer - 1] if layer else None
            if below is not None:
                below[...] = 0
            for d, one in enumerate(self.layers[layer]):
                rows = slice(d * H, (d + 1) * H)
                one.backward(
                    factors,
                    into.blocks[one.prefix],
                    self.x[layer],
                    self.dy[layer][rows],
                    dstates[layer * D + d],
                    below,
                )
            if below is not None and dropped:
                below *= self.masks[layer - 1]
        return dstates

    def _learn_start(self, into: Views, dstart: BlockStates) -> None:
        names = [state.name for state in self.model.spec.state]
        for (prefix, _), block in zip(self.model.blocks(), dstart, strict=True):
            for name in self.model.learned_states():
                into.blocks[prefix].own[f"initial_{name}"][...] = block[names.index(name)].sum(axis=1)

    def _drop(self, layer: int, drop: DropoutMasks | None) -> None:
        """What the next layer reads: the outputs, a share of them set to zero and the rest scaled up."""
        below, above = self.y[layer][:-1], self.x[layer + 1][:-1]
        if drop is None:
            above[...] = below
            return
        drop(layer, self.masks[layer])
        np.multiply(below, self.masks[layer], out=above)


def _make_pass(
    model: ModelSpec,
    cell: ModuleType,
    prefix: str,
    features: int,
    shape: BufferShape,
    *,
    keep: bool,
    scan: bool,
    brief: bool,
) -> Pass:
    """The pass that a cell needs. `keep=False` keeps nothing for the backward pass, `scan` computes all steps
    at once, `brief` says that the loss depends on the last output alone."""
    if hasattr(cell, "Tape"):
        return StepLoop(model, cell, prefix, features, shape, keep=keep, brief=brief)
    if hasattr(cell, "coefficients"):
        return LinearRecurrence(model, cell, prefix, shape, scan=scan)
    return WholeSequence(model, cell, prefix, shape)


def initial_states(model: ModelSpec, views: Views, batch: int) -> BlockStates:
    """A model's own first states, (length, B): zeros, or what it learned."""
    learned, dtype = model.learned_states(), views.readout.dtype
    return [
        [
            np.repeat(views.blocks[prefix].own[f"initial_{name}"][:, None], batch, axis=1)
            if name in learned
            else np.zeros((length, batch), dtype)
            for name, length in model.state_sizes(features).items()
        ]
        for prefix, features in model.blocks()
    ]
