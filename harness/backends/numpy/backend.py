"""The NumPy reference: the meaning of every cell in float64, and a contender in float32.

A batch is split into one shard per thread; each shard has a network of its own and single-threaded
BLAS, and the shards' gradients are added in a fixed order, so the same threads give the same bits.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from harness.backends.base import Gradients, Outputs, Setup, Weights
from harness.backends.numpy.network import Network
from harness.backends.numpy.optimizer import Optimizer
from harness.backends.numpy.parameters import Factors, Layout
from harness.environment import cpu_name
from harness.errors import Unavailable

INFERENCE_COLUMNS = 256  # per shard at once: keeps long sequences within memory


def implementations(cell: str) -> tuple[str, ...]:
    """NumPy has one implementation of a cell, the time loop."""
    return ("loop",) if find_spec(f"harness.backends.numpy.cells.{cell}") else ()


def devices() -> dict[str, str]:
    return {"cpu": cpu_name()}


def open_session(setup: Setup) -> "NumpySession":
    """Raises Unavailable for a cell, an implementation or a device that NumPy does not have."""
    cell = setup.model.cell
    if not implementations(cell):
        raise Unavailable(f"numpy has no {cell}")
    if setup.implementation not in ("auto", "loop"):
        raise Unavailable(f"numpy has no {setup.implementation} {cell}; it has: loop")
    if setup.device not in ("auto", "cpu"):
        raise Unavailable(f"device={setup.device}: numpy computes on the CPU only; available: cpu")
    return NumpySession(setup)


class NumpySession:
    """See `harness.backends.base.Session`."""

    implementation = "loop"
    device = "cpu"

    def __init__(self, setup: Setup) -> None:
        self.dtype = np.dtype(setup.precision)
        self.threads = setup.threads
        self.device_name = cpu_name()
        self.layout = Layout(setup.model)
        self.w = np.zeros(self.layout.size, self.dtype)
        self.g = [np.zeros(self.layout.size, self.dtype) for _ in range(self.threads)]
        self.g_views = [self.layout.views(g) for g in self.g]
        self.factors = Factors(self.layout, self.layout.views(self.w))
        self.optimizer = Optimizer(setup.optimizer, self.layout.size, self.dtype)
        self.data: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.networks: dict[tuple[int, int, bool], Network] = {}
        self.pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self.blas = ThreadpoolController().select(user_api="blas")

    @property
    def kernel(self) -> str:
        found = ", ".join(sorted({str(info["internal_api"]) for info in self.blas.info()})) or "BLAS"
        return f"NumPy {found}, {self.threads} shard{'s' if self.threads > 1 else ''}"

    def put_weights(self, weights: Weights) -> None:
        self.layout.pack(weights, self.w)
        self.factors.refresh()
        self.optimizer.reset()

    def weights(self) -> Weights:
        return self.layout.unpack(self.w)

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        self.data[split] = (np.ascontiguousarray(x, self.dtype), y)

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        x, y = self.data["train"]
        losses = np.empty(len(batches))
        with self._single_threaded_blas():
            for step, (batch, rate) in enumerate(zip(batches, rates, strict=True)):
                losses[step] = self._gradients(x, y, batch)
                self.optimizer.update(self.w, self.g[0], float(rate))
                self.factors.refresh()
        return losses

    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        x, _ = self.data[split]
        with self._single_threaded_blas():
            return np.concatenate([self._logits(x[start:stop]) for start, stop in ranges])

    def outputs(self, x: np.ndarray) -> Outputs:
        with self._single_threaded_blas():
            network = self._network(0, len(x), keep=False)
            logits = network.forward(self.factors, np.asarray(x, self.dtype))
            return Outputs(network.sequence(), logits.T.copy())

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        x = np.asarray(x, self.dtype)
        with self._single_threaded_blas():
            loss = self._gradients(x, y, np.arange(len(x)))
        return Gradients(loss, self.layout.unpack(self.g[0]))

    def matmul(self, size: int, repeats: int) -> None:
        a = np.full((size, size), 0.5, self.dtype)
        out = np.empty_like(a)
        with self.blas.limit(limits=self.threads):
            for _ in range(repeats):
                np.matmul(a, a, out=out)

    def synchronize(self) -> None:
        """NumPy has returned only when it is done."""

    def device_peak_memory_bytes(self) -> int | None:
        return None

    def close(self) -> None:
        if self.pool:
            self.pool.shutdown()
        self.networks.clear()
        self.data.clear()

    def _single_threaded_blas(self) -> AbstractContextManager[Any]:
        limiter: AbstractContextManager[Any] = self.blas.limit(limits=1)
        return limiter

    def _gradients(self, x: np.ndarray, y: np.ndarray, batch: np.ndarray) -> float:
        """Leaves the gradient of the mean loss over the rows `batch` (B,) in `g[0]`; returns the loss."""

        def work(shard: int, part: slice) -> float:
            rows = batch[part]
            network = self._network(shard, len(rows), keep=True)
            return network.gradients(self.factors, x[rows], y[rows], 1.0 / len(batch), self.g_views[shard])

        parts = shards(len(batch), self.threads)
        losses = self._each(work, parts)
        for g in self.g[1 : len(parts)]:
            self.g[0] += g
        return math.fsum(losses)

    def _logits(self, x: np.ndarray) -> np.ndarray:
        logits = np.empty((len(x), self.layout.model.classes), self.dtype)

        def work(shard: int, part: slice) -> None:
            for start in range(part.start, part.stop, INFERENCE_COLUMNS):
                rows = slice(start, min(start + INFERENCE_COLUMNS, part.stop))
                network = self._network(shard, rows.stop - rows.start, keep=False)
                logits[rows] = network.forward(self.factors, x[rows]).T

        self._each(work, shards(len(x), self.threads))
        return logits

    def _each(self, work: Callable[[int, slice], Any], parts: list[slice]) -> list[Any]:
        if self.pool is None or len(parts) == 1:
            return [work(shard, part) for shard, part in enumerate(parts)]
        return list(self.pool.map(work, range(len(parts)), parts))

    def _network(self, shard: int, batch: int, *, keep: bool) -> Network:
        key = (shard, batch, keep)
        if key not in self.networks:
            self.networks[key] = Network(self.layout, batch=batch, dtype=self.dtype, keep=keep)
        return self.networks[key]


def shards(size: int, threads: int) -> list[slice]:
    """`size` rows cut into at most `threads` contiguous parts that differ by one row at most."""
    count = min(size, threads)
    edges = [size * k // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]
