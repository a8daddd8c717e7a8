"""A session in PyTorch that computes in several processes on the CPU, as NumPy's does.

Every batch is cut into one part for each shard. A shard computes the gradient of its part; the gradients are
added in a fixed order, and the one optimiser, in the session's own process, changes the weights that all
shards share. So the same number of shards gives the same bits.

Legend: N sequences of a split, S steps, T time steps, B batch, I input features, H hidden units, C classes,
D directions, K chunks of a sequence.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from harness.backends import checks
from harness.backends.base import Gradients, Setup
from harness.backends.processes.split import split_evenly
from harness.backends.processes.workers import WorkerPool
from harness.backends.torch import shard
from harness.backends.torch.device import resolve
from harness.backends.torch.randomness import Stream
from harness.backends.torch.session import TorchSession
from harness.backends.torch.shard import Shard
from harness.errors import Unavailable


class ShardedSession(TorchSession):
    """See `harness.backends.base.Session`. Outputs and carried states are the first shard's own matter."""

    def __init__(self, setup: Setup, implementation: str) -> None:
        _check(setup)
        threads = shard.threads(setup)
        super().__init__(replace(setup, device="cpu", threads=threads[0]), implementation)
        self._dropout = None  # shards drop with streams of their own
        self._count = setup.shards
        self._used = setup.shards  # by the last batch
        self._drops = bool(setup.model.dropout)
        self._begun = (0, 0)  # the epoch whose streams drop, and how often they have begun anew
        own = replace(setup, implementation=implementation, device="cpu")
        self._pool = WorkerPool(Shard, own, shard.size(self._model), threads)
        shard.share(self._model, torch.from_numpy(self._pool.arrays["weights"]))
        self._gradients_of = torch.from_numpy(self._pool.arrays["gradients"])  # (shards, P)
        self._sum = shard.views(self._model, self._gradients_of[0])
        for tensor in self._model.trained:
            tensor.grad = self._sum[tensor]
        self._pool.start(self._count - 1)

    @property
    def kernel(self) -> str:
        """That of one process, and how many of them computed the last batch."""
        return f"{super().kernel}, {self._used} shard{'s' * (self._used > 1)}"

    def begin_epoch(self, epoch: int) -> None:
        """Drops by the numbers of this epoch from here on."""
        self._begun = epoch, self._begun[1] + 1

    def dropout_masks(self, epoch: int, batch: int, count: int) -> list[np.ndarray]:
        """What the outputs between layers are multiplied by in the first `count` updates of an epoch."""
        of_shards = [
            Stream(self._setup.seed, self._device, number).masks(
                epoch, self._spec.dropout, self._setup.mask_shape(part.stop - part.start), count, self._inside
            )
            for number, part in enumerate(self._parts(batch))
        ]
        return [np.concatenate(parts, axis=1) for parts in zip(*of_shards, strict=True)]

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Keeps a split in shared memory: x (N, T, I), y (N,)."""
        x, y = checks.inputs(x, self._spec), checks.labels(y, len(x), self._spec)
        self._share(split, x, y)
        self._sizes[split] = len(x)
        self._pool.call("ready", [()] * self._count)

    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """Logits (N, C) of the rows start:stop of every range, of which each shard reads a part."""
        return self._forward(split, ranges, self._spec.classes, features=False)

    def features(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """What the readout reads (N, D·H), of the rows of every range, likewise."""
        return self._forward(split, ranges, self._spec.width, features=True)

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        """The loss of x (B, T, I), y (B,) and its gradients before clipping; changes nothing."""
        x, y = checks.inputs(x, self._spec), checks.labels(y, len(x), self._spec)
        self._share("given", x, y)
        loss = self._gradients("given", np.arange(len(x)), (0, x.shape[1]))
        for tensor, mask in self._model.partly_trained:
            self._sum[tensor].mul_(mask)
        return Gradients(loss, self._model.canonical({w: self._sum[w] for w in self._model.trained}))

    def matmul(self, m: int, k: int, n: int, repeats: int) -> None:
        """Every shard multiplies its part of (m, k) by (k, n), and the result by the transpose."""
        parts = self._parts(m)
        self._pool.call("matmul", [(part.stop - part.start, k, n, repeats) for part in parts])

    def close(self) -> None:
        """Ends the processes, and lets go of weights, data and threads."""
        super().close()
        del self._gradients_of, self._sum
        self._pool.close()

    def _make_steps(self, batches: np.ndarray, rates: np.ndarray) -> torch.Tensor:
        """The losses (S, K) of updates one after the other."""
        T = self._spec.steps
        k = self._truncate or T
        chunks = [(first, first + k) for first in range(0, T, k)]
        dropout = self._begun if self._drops else None
        losses = []
        for batch, rate in zip(batches, rates.tolist(), strict=True):
            self._optimizer.set_rate(rate)
            for chunk in chunks:
                losses.append(self._gradients("train", batch, chunk, dropout))
                self._optimizer.update()
        return torch.tensor(losses, dtype=torch.float64).view(len(batches), -1)

    def _gradients(
        self, split: str, batch: np.ndarray, steps: tuple[int, int], dropout: tuple[int, int] | None = None
    ) -> float:
        """Leaves the gradient of the mean loss over the rows `batch` (B,) in the first row of `gradients`;
        returns the loss."""
        parts = self._parts(len(batch))
        self._used = len(parts)
        self._pool.buffer("rows", len(batch), np.int64)[: len(batch)] = batch
        losses = self._pool.call(
            "gradients",
            [
                (split, (part.start, part.stop), steps, (part.stop - part.start) / len(batch), dropout)
                for part in parts
            ],
        )
        first, *others = self._gradients_of[: len(parts)]
        for gradient in others:
            first += gradient
        return math.fsum(losses)

    def _forward(
        self, split: str, ranges: Sequence[tuple[int, int]], width: int, *, features: bool
    ) -> np.ndarray:
        """What the forward pass finds (N, width) over every range of a split, one below the other."""
        checks.ranges(ranges, checks.size(self._sizes, split))
        count = sum(stop - start for start, stop in ranges)
        room = self._pool.buffer("result", count * width, self._pool.arrays["weights"].dtype)
        each: list[list[tuple[int, int, int]]] = [[] for _ in range(self._count)]
        into = 0
        for start, stop in ranges:
            for number, part in enumerate(self._parts(stop - start)):
                each[number].append((start + part.start, start + part.stop, into + part.start))
            into += stop - start
        self._pool.call("forward", [(split, parts, features) for parts in each if parts])
        return room[: count * width].reshape(count, width).copy()

    def _parts(self, rows: int) -> list[slice]:
        """One part of so many rows for each shard, as far as there are rows."""
        return split_evenly(rows, min(rows, self._count))

    def _share(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Gives all shards x, time first, and y under the name of a split."""
        N, T, I = x.shape
        shared = self._pool.array(f"x.{split}", (T, N, I), self._pool.arrays["weights"].dtype)
        shared[...] = x.swapaxes(0, 1)
        self._pool.put(f"y.{split}", y)


def _check(setup: Setup) -> None:
    """Raises Unavailable on a GPU, and for more shards than threads."""
    key = f"backend.shards={setup.shards}"
    device = resolve(setup.device)
    if device != "cpu":
        raise Unavailable(f"{key}: shards are processes on the CPU; on device={device} 1 alone is allowed")
    if setup.shards > setup.threads:
        raise Unavailable(f"{key}: must be 1 … threads={setup.threads}, for a thread each")
