"""One part of every batch: the networks that compute it, for every size that comes.

What goes in and out of a shard lies in named arrays, which the shards of a session share:

weights           (P,) the flat vector of `Layout`
gradients         (S, P), one row for every shard
x.SPLIT           (N, T, I)
y.SPLIT           (N,)
rows              (≥ B,) the rows of the split that make the batch
result            flat room for what `forward` finds

A call says which `version` of the weights it is about, so that what is derived from them is derived once.
"""

from collections.abc import Sequence
from functools import partial
from zlib import crc32

import numpy as np

from harness.backends.base import Setup
from harness.backends.numpy.network import BlockStates, DropoutMasks, Network
from harness.backends.numpy.parameters import Factors, Layout

INFERENCE_COLUMNS = 256  # at once: keeps long sequences within memory


class Shard:
    """Shard `number` of a session. `arrays` may change until a call is about them."""

    def __init__(self, setup: Setup, number: int, arrays: dict[str, np.ndarray]) -> None:
        self.setup, self.number, self.arrays = setup, number, arrays
        self.dtype = np.dtype(setup.precision)
        self.layout = Layout(setup.model)
        self.gradient = self.layout.views(arrays["gradients"][number])
        self.factors = Factors(self.layout, self.layout.views(arrays["weights"]))
        self.version = 0
        self.networks: dict[tuple[int, int, bool], Network] = {}
        self.operands: dict[tuple[int, int, int], tuple[np.ndarray, ...]] = {}
        self.states: BlockStates = []  # after the last chunk
        self.dropout_stream: tuple[tuple[int, int], np.random.Generator] | None = None

    def gradients(
        self,
        version: int,
        split: str,
        part: tuple[int, int],
        steps: tuple[int, int],
        share: float,
        dropout: tuple[int, int] | np.ndarray | None = None,
    ) -> float:
        """Puts the gradient of `share` × the sum of the losses into this shard's row of `gradients`.

        The batch's part and the chunk of steps go from a first to before an end; a chunk that does not
        begin at 0 goes on from the last call's states. `dropout` is the epoch whose stream drops, and how
        often streams have begun anew, or the masks of the whole batch (layers - 1, B, T, D·H); None: nothing
        drops. Returns the loss.
        """
        first, end = steps
        x, y = self.arrays[f"x.{split}"], self.arrays[f"y.{split}"]
        rows = self.arrays["rows"][slice(*part)]
        self._refresh(version)
        for block in self.gradient.blocks.values():
            for array in block.own.values():
                array[...] = 0  # what a pass adds to; the rest it overwrites
        network = self._network(len(rows), end - first, keep=True)
        loss = network.gradients(
            self.factors,
            x[rows, first:end],
            y[rows],
            share,
            self.gradient,
            self.states if first else None,
            self._masks(dropout, slice(*part)),
        )
        self.states = network.final
        return loss

    def gradient_flow(self, version: int, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        """See `NumpySession.gradient_flow`."""
        self._refresh(version)
        network = self._network(len(x), x.shape[1], keep=True)
        passes = [one for layer in network.layers for one in layer]
        for one in passes:
            one.flow = np.zeros(x.shape[1])
        network.gradients(self.factors, x, y, 1.0 / len(x), self.gradient)
        flow = {one.prefix: one.flow for one in passes if one.flow is not None}
        for one in passes:
            one.flow = None
        return flow

    def forward(
        self, version: int, split: str, ranges: Sequence[tuple[int, int, int]], features: bool
    ) -> None:
        """Of the rows start:stop of every range (start, stop, into), the logits (C), or what the readout
        reads (D·H), from row `into` of `result` on."""
        x = self.arrays[f"x.{split}"]
        width = self.layout.model.width if features else self.layout.model.classes
        room = self.arrays["result"]
        result = room[: len(room) // width * width].reshape(-1, width)
        self._refresh(version)
        for start, stop, into in ranges:
            for first in range(start, stop, INFERENCE_COLUMNS):
                last = min(first + INFERENCE_COLUMNS, stop)
                network = self._network(last - first, x.shape[1], keep=False)
                logits = network.forward(self.factors, x[first:last])
                columns = network.features[:-1] if features else logits
                result[into + first - start : into + last - start] = columns.T

    def outputs(
        self, version: int, x: np.ndarray, start: BlockStates | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, BlockStates]:
        """The top layer's outputs (B, T, D·H), the last ones (B, D·H), the logits (B, C) and the final
        states of x (B, T, I)."""
        self._refresh(version)
        network = self._network(len(x), x.shape[1], keep=False)
        logits = network.forward(self.factors, x, start)
        return network.sequence(), network.last(), logits.T.copy(), network.final

    def matmul(self, m: int, k: int, n: int, repeats: int) -> None:
        """See `Session.matmul`; a batch of m rows is this shard's part."""
        if (m, k, n) not in self.operands:
            w, x = np.full((n, k), 0.5, self.dtype), np.full((k, m), 0.5, self.dtype)
            self.operands = {(m, k, n): (w, x, np.empty((n, m), self.dtype), np.empty_like(x))}
        w, x, y, back = self.operands[m, k, n]
        for _ in range(repeats):
            np.matmul(w, x, out=y)
            np.matmul(w.T, y, out=back)

    def close(self) -> None:
        """Lets go of the networks, which hold the arrays."""
        self.networks.clear()

    def _refresh(self, version: int) -> None:
        if version != self.version:
            self.factors.refresh()
            self.version = version

    def _masks(self, dropout: tuple[int, int] | np.ndarray | None, part: slice) -> DropoutMasks | None:
        if dropout is None:
            return None
        if isinstance(dropout, np.ndarray):
            return partial(_copy_mask, dropout[:, part])
        if self.dropout_stream is None or self.dropout_stream[0] != dropout:
            self.dropout_stream = dropout, dropout_stream(self.setup.seed, self.number, dropout[0])
        return partial(draw_mask, self.dropout_stream[1], self.setup.model.dropout)

    def _network(self, batch: int, steps: int, *, keep: bool) -> Network:
        key = (batch, steps, keep)
        if key not in self.networks:
            self.networks[key] = Network(
                self.layout,
                steps=steps,
                batch=batch,
                dtype=self.dtype,
                keep=keep,
                scan=self.setup.implementation == "scan",
            )
        return self.networks[key]


def dropout_stream(seed: int, number: int, epoch: int) -> np.random.Generator:
    """The random numbers that shard `number` drops by in an epoch."""
    return np.random.default_rng([seed, crc32(b"dropout"), number, epoch])


def draw_mask(stream: np.random.Generator, share: float, layer: int, mask: np.ndarray) -> None:
    """Fills the mask above a layer: 0 for the share that is dropped, 1 / (1 - share) for the rest."""
    mask[...] = stream.random(mask.shape) >= share
    mask /= 1 - share


def _copy_mask(masks: np.ndarray, layer: int, mask: np.ndarray) -> None:
    mask[...] = masks[layer].transpose(2, 1, 0)
