"""The NumPy reference: the meaning of every cell in float64, and a contender in float32.

A batch is split into one shard per thread, where it has rows enough; each shard has a network of its own
and single-threaded BLAS, and the shards' gradients are added in a fixed order, so that the same number of
shards gives the same bits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
from threadpoolctl import ThreadpoolController

from harness.backends.base import Gradients, Outputs, Setup, States, Weights
from harness.backends.carried import Carried, by_block, flat
from harness.backends.numpy.network import BlockStates, Network, initial_states
from harness.backends.numpy.optimizer import Optimizer
from harness.backends.numpy.parameters import Factors, Layout, cell_module
from harness.environment import cpu_name
from harness.errors import Unavailable
from harness.precision import held_in

INFERENCE_COLUMNS = 256  # per shard at once: keeps long sequences within memory
LEAST_ROWS = 32  # of a shard: two of 16 train an RNN at 0.8 of the speed of one of 32, an LSTM at 0.95


def implementations(cell: str) -> tuple[str, ...]:
    """NumPy has the time loop of every cell, and a parallel scan where the recurrence is linear."""
    if not find_spec(f"harness.backends.numpy.cells.{cell}"):
        return ()
    return ("loop", "scan") if hasattr(cell_module(cell), "coefficients") else ("loop",)


def devices() -> dict[str, str]:
    return {"cpu": cpu_name()}


def open_session(setup: Setup) -> "NumpySession":
    """Raises Unavailable for a cell, an implementation, a device or a precision that NumPy does not have."""
    cell = setup.model.cell
    offered = implementations(cell)
    if not offered:
        raise Unavailable(f"numpy has no {cell}")
    if setup.implementation not in ("auto", *offered):
        raise Unavailable(f"numpy has no {setup.implementation} {cell}; it has: {', '.join(offered)}")
    if setup.device not in ("auto", "cpu"):
        raise Unavailable(f"device={setup.device}: numpy computes on the CPU only; available: cpu")
    if setup.precision != held_in(setup.precision):
        raise Unavailable(f"precision={setup.precision}: numpy computes in float32 and float64 only")
    return NumpySession(setup)


class NumpySession:
    """See `harness.backends.base.Session`."""

    device = "cpu"

    def __init__(self, setup: Setup) -> None:
        self.implementation = "scan" if setup.implementation == "scan" else "loop"
        self.dtype = np.dtype(setup.precision)
        self.threads = setup.threads
        self.device_name = cpu_name()
        self.layout = Layout(setup.model)
        self.truncate = setup.truncate
        self.seed = setup.seed
        self.w = np.zeros(self.layout.size, self.dtype)
        self.g = [np.zeros(self.layout.size, self.dtype) for _ in range(self.threads)]
        self.g_views = [self.layout.views(g) for g in self.g]
        self.mask = None if self.layout.mask is None else self.layout.mask.astype(self.dtype)
        self.factors = Factors(self.layout, self.layout.views(self.w))
        self.optimizer = Optimizer(setup.optimizer, self.layout.size, self.dtype)
        self.data: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.operands: dict[tuple[int, int, int], tuple[np.ndarray, list[np.ndarray]]] = {}
        self.networks: dict[tuple[int, int, int, bool], Network] = {}
        self.carried = Carried(
            setup.model,
            initial=lambda batch: flat(initial_states(setup.model, self.factors.views, batch)),
            put=lambda state: np.array(state.T, self.dtype, order="C"),
            fetch=lambda state: np.array(state.T, order="C"),
            batch_axis=1,
        )
        self.shards = self.threads  # of the last training batch
        self.pool = ThreadPoolExecutor(max(1, self.threads - 1))  # starts a thread when it is first needed
        self.blas = ThreadpoolController().select(user_api="blas")
        self._seed_dropout()

    @property
    def kernel(self) -> str:
        found = ", ".join(sorted({str(info["internal_api"]) for info in self.blas.info()})) or "BLAS"
        return f"NumPy {found}, {self.shards} shard{'s' if self.shards > 1 else ''}"

    def put_weights(self, weights: Weights) -> None:
        self.layout.pack(weights, self.w)
        self.factors.refresh()
        self.optimizer.reset()
        self._seed_dropout()

    def weights(self) -> Weights:
        return self.layout.unpack(self.w)

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        self.data[split] = (np.ascontiguousarray(x, self.dtype), y)

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        x, y = self.data["train"]
        steps = x.shape[1]
        k = self.truncate or steps
        chunks = [x[:, first : first + k] for first in range(0, steps, k)]
        losses = np.empty((len(batches), len(chunks)))
        drop = self.dropping if self.layout.model.dropout else None
        with self._single_threaded_blas():
            for step, (batch, rate) in enumerate(zip(batches, rates, strict=True)):
                states: list[BlockStates] | None = None
                for c, chunk in enumerate(chunks):
                    losses[step, c], states = self._gradients(chunk, y, batch, states, drop)
                    self.optimizer.update(self.w, self.g[0], float(rate))
                    self.factors.refresh()
        return losses.mean(axis=1)

    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        return self._evaluate(split, ranges, self.layout.model.classes, lambda network: network.logits)

    def features(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        return self._evaluate(split, ranges, self.layout.model.width, lambda network: network.features[:-1])

    def outputs(self, x: np.ndarray) -> Outputs:
        return self._outputs(x, None)[0]

    def advance(self, x: np.ndarray) -> Outputs:
        start = by_block(self.layout.model, self.carried.before(len(x)))
        found, final = self._outputs(x, start)
        self.carried.tensors = flat(final)
        return found

    def states(self) -> States:
        return self.carried.named(self.carried.tensors)

    def put_states(self, states: Mapping[str, np.ndarray]) -> None:
        self.carried.put(states)

    def reset(self, *names: str) -> None:
        self.carried.reset(names)

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        x = np.asarray(x, self.dtype)
        with self._single_threaded_blas():
            loss, _ = self._gradients(x, y, np.arange(len(x)))
        return Gradients(loss, self.layout.unpack(self.g[0]))

    def gradient_flow(self, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        """‖∂L/∂h_t‖ (T,) of every layer and direction (`layers.0.forward`), for x (B, T, I), y (B,).

        L is the batch's loss, h the cell's first state where it has one and its output elsewhere; the
        norm is over batch and units.
        """
        x = np.asarray(x, self.dtype)
        network = self._network(0, len(x), x.shape[1], keep=True)
        passes = [one for layer in network.layers for one in layer]
        for one in passes:
            one.flow = np.zeros(x.shape[1])
        with self._single_threaded_blas():
            self._clear(0)
            network.gradients(self.factors, x, y, 1.0 / len(x), self.g_views[0])
        found = {one.prefix: one.flow for one in passes if one.flow is not None}
        for one in passes:
            one.flow = None
        return found

    def matmul(self, m: int, k: int, n: int, repeats: int) -> None:
        parts = shards(m, self.threads)
        if (m, k, n) not in self.operands:
            batches = [np.full((k, part.stop - part.start), 0.5, self.dtype) for part in parts]
            self.operands = {(m, k, n): (np.full((n, k), 0.5, self.dtype), batches)}
        w, batches = self.operands[m, k, n]

        def work(shard: int, part: slice) -> None:
            x = batches[shard]
            y, back = np.empty((n, x.shape[1]), self.dtype), np.empty_like(x)
            for _ in range(repeats):
                np.matmul(w, x, out=y)
                np.matmul(w.T, y, out=back)

        with self._single_threaded_blas():
            self._each(work, parts)

    def synchronize(self) -> None:
        """NumPy has returned only when it is done."""

    def device_peak_memory_bytes(self) -> int | None:
        return None

    def close(self) -> None:
        self.pool.shutdown()
        self.networks.clear()
        self.data.clear()

    def _single_threaded_blas(self) -> AbstractContextManager[Any]:
        limiter: AbstractContextManager[Any] = self.blas.limit(limits=1)
        return limiter

    def _gradients(
        self,
        x: np.ndarray,
        y: np.ndarray,
        batch: np.ndarray,
        states: list[BlockStates] | None = None,
        drop: list[np.random.Generator] | None = None,
    ) -> tuple[float, list[BlockStates]]:
        """Leaves the gradient of the mean loss over the rows `batch` (B,) in `g[0]`.

        Returns the loss and the final states of every shard; `states` are its first ones.
        """

        def work(shard: int, part: slice) -> tuple[float, BlockStates]:
            rows = batch[part]
            network = self._network(shard, len(rows), x.shape[1], keep=True)
            self._clear(shard)
            loss = network.gradients(
                self.factors,
                x[rows],
                y[rows],
                1.0 / len(batch),
                self.g_views[shard],
                states[shard] if states else None,
                drop[shard] if drop else None,
            )
            return loss, network.final

        parts = shards(len(batch), self.threads)
        self.shards = len(parts)
        found = self._each(work, parts)
        for g in self.g[1 : len(parts)]:
            self.g[0] += g
        if self.mask is not None:
            self.g[0] *= self.mask
        return math.fsum(loss for loss, _ in found), [final for _, final in found]

    def _clear(self, shard: int) -> None:
        """What a pass adds to starts at zero; the rest it overwrites."""
        for block in self.g_views[shard].blocks.values():
            for array in block.own.values():
                array[...] = 0

    def _seed_dropout(self) -> None:
        key = crc32(b"dropout")
        self.dropping = [np.random.default_rng([self.seed, key, n]) for n in range(self.threads)]

    def _outputs(self, x: np.ndarray, start: BlockStates | None) -> tuple[Outputs, BlockStates]:
        with self._single_threaded_blas():
            network = self._network(0, len(x), x.shape[1], keep=False)
            logits = network.forward(self.factors, np.asarray(x, self.dtype), start)
        states = self.carried.named(flat(network.final))
        return Outputs(network.sequence(), network.last(), logits.T.copy(), states), network.final

    def _evaluate(
        self,
        split: str,
        ranges: Sequence[tuple[int, int]],
        width: int,
        result: Callable[[Network], np.ndarray],
    ) -> np.ndarray:
        """`result` (width, B) of the forward pass over every range of a split, one below the other."""
        x, _ = self.data[split]
        found = []
        with self._single_threaded_blas():
            for first, last in ranges:
                part = np.empty((last - first, width), self.dtype)
                work = partial(self._fill, x[first:last], part, result)
                self._each(work, shards(last - first, self.threads))
                found.append(part)
        return np.concatenate(found)

    def _fill(
        self,
        x: np.ndarray,
        into: np.ndarray,
        result: Callable[[Network], np.ndarray],
        shard: int,
        part: slice,
    ) -> None:
        for start in range(part.start, part.stop, INFERENCE_COLUMNS):
            rows = slice(start, min(start + INFERENCE_COLUMNS, part.stop))
            network = self._network(shard, rows.stop - rows.start, x.shape[1], keep=False)
            network.forward(self.factors, x[rows])
            into[rows] = result(network).T

    def _each(self, work: Callable[[int, slice], Any], parts: list[slice]) -> list[Any]:
        """`work` on every part at once, the first one in this thread."""
        others = [self.pool.submit(work, shard, part) for shard, part in enumerate(parts) if shard]
        return [work(0, parts[0]), *(other.result() for other in others)]

    def _network(self, shard: int, batch: int, steps: int, *, keep: bool) -> Network:
        key = (shard, batch, steps, keep)
        if key not in self.networks:
            self.networks[key] = Network(
                self.layout,
                steps=steps,
                batch=batch,
                dtype=self.dtype,
                keep=keep,
                scan=self.implementation == "scan",
            )
        return self.networks[key]


def shards(size: int, threads: int) -> list[slice]:
    """`size` rows cut into contiguous parts that differ by one row at most: as many as there are threads,
    but none of fewer than LEAST_ROWS rows beside another."""
    count = max(1, min(size // LEAST_ROWS, threads))
    edges = [size * k // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]
