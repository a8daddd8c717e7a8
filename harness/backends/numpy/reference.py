"""The session that others are compared with: one process, whatever the size of a batch, and dropout by masks
that are given.

What the backward pass keeps grows with batch, steps and width. So a batch is cut into shards as in training,
but they compute one after the other, on the same buffers.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from harness.backends.base import Setup, Weights
from harness.backends.numpy.backend import NumpySession
from harness.backends.numpy.shard import Shard
from harness.backends.processes.worker_process import ShardClass
from harness.backends.processes.workers import WorkerPool
from harness.model.cell import Shape
from harness.model.network import ModelSpec

NUMBERS = 2**21  # of each kind that is kept at most for the backward pass: 16 MiB


def max_sequences(model: ModelSpec) -> int:
    """How many sequences are kept at once at most: what is kept grows with all their outputs."""
    return max(1, NUMBERS // (model.steps * model.layers * model.width))


class SerialPool(WorkerPool[Shard]):
    """Shards in this process, one after the other; the buffers of one serve all."""

    def __init__(self, kind: ShardClass[Shard], setup: Setup, size: int, threads: Sequence[int]) -> None:
        super().__init__(kind, setup, size, threads)
        self.shards = [self.first, *(kind(setup, n, self.arrays) for n in range(1, len(threads)))]
        for shard in self.shards:
            shard.networks = self.first.networks

    def put(self, name: str, values: np.ndarray) -> None:
        self.arrays[name] = values

    def array(self, name: str, shape: Shape, dtype: Any) -> np.ndarray:
        self.arrays[name] = np.zeros(shape, dtype)
        return self.arrays[name]

    def start(self, count: int) -> None:
        """Nothing to start."""

    def call(self, method: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
        return [getattr(shard, method)(*each) for shard, each in zip(self.shards, arguments, strict=False)]


class Reference(NumpySession):
    """A model at these weights, computed for batches of at most `batch` sequences, in float64 unless
    `precision` says otherwise."""

    make_pool = SerialPool

    def __init__(self, setup: Setup, weights: Weights, *, batch: int, precision: str = "float64") -> None:
        self.blas_threads = setup.threads
        of_all = replace(setup, implementation="loop", engine=None, device="cpu", precision=precision)
        super().__init__(replace(of_all, threads=-(-batch // max_sequences(setup.model))))
        self.masks: Iterator[np.ndarray] = iter(())
        self.put_weights(weights)

    def train_dropping(
        self, batches: np.ndarray, rates: np.ndarray, masks: Sequence[np.ndarray]
    ) -> np.ndarray:
        """As `train`; update k drops by masks[k] (layers - 1, B, T, D·H), if the model drops at all."""
        self.masks = iter(masks)
        return self.train(batches, rates)

    def _dropout(self) -> np.ndarray | None:
        return next(self.masks) if self.model.dropout else None

    def _single_threaded_blas(self) -> AbstractContextManager[Any]:
        """Shards do not compute side by side here, so that each has all threads."""
        limiter: AbstractContextManager[Any] = self.blas.limit(limits=self.blas_threads)
        return limiter
