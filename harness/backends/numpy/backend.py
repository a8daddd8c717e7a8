"""The NumPy reference: the meaning of every cell in float64, and a contender in float32.

A batch is split into one shard per thread, where it has rows enough; each shard has a process, networks
of its own and single-threaded BLAS, and the shards' gradients are added in a fixed order, so that the same
number of shards gives the same bits.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from harness.backends import checks, optimizer_state
from harness.backends.base import Gradients, Outputs, Setup, States, Weights
from harness.backends.implementations import resolve_implementation
from harness.backends.numpy.network import BlockStates, initial_states
from harness.backends.numpy.optimizer import Optimizer
from harness.backends.numpy.parameters import Layout, cell_module
from harness.backends.numpy.shard import Shard, draw_mask, dropout_stream
from harness.backends.processes.split import split_evenly
from harness.backends.processes.workers import WorkerPool
from harness.backends.states import CarriedStates, by_block, flat
from harness.errors import Unavailable
from harness.measure.machine import cpu_name
from harness.model.precision import held_in

Found = tuple[np.ndarray, np.ndarray, np.ndarray, BlockStates]  # sequence, last, logits, final states

MIN_SHARD_ROWS = 16  # two shards of 16 rows train an LSTM, GRU or RNN 1.4 to 1.5 times as fast as one of 32


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
    implementation = resolve_implementation("numpy", cell, setup.implementation, implementations(cell))
    if setup.device not in ("auto", "cpu"):
        raise Unavailable(f"device={setup.device}: numpy computes on the CPU only; available: cpu")
    if setup.precision != held_in(setup.precision):
        raise Unavailable(f"precision={setup.precision}: numpy computes in float32 and float64 only")
    return NumpySession(replace(setup, implementation=implementation))


class NumpySession:
    """See `harness.backends.base.Session`."""

    device = "cpu"
    steps_per_launch = 1
    make_pool: type[WorkerPool[Shard]] = WorkerPool

    def __init__(self, setup: Setup) -> None:
        self.implementation = setup.implementation
        self.dtype = np.dtype(setup.precision)
        self.threads = setup.threads
        self.device_name = cpu_name()
        self.setup = setup
        self.model = setup.model
        self.truncate = setup.truncate
        self.layout = Layout(setup.model)
        self.pool = self.make_pool(Shard, setup, self.layout.size, threads=[1] * setup.threads)
        self.w, self.g = self.pool.arrays["weights"], self.pool.arrays["gradients"]
        self.version = 1  # of the weights
        self.sizes: dict[str, int] = {}  # sequences of every split
        self.epoch, self.begun = 0, 0  # which streams drop, and how often they have begun anew
        self.mask = None if self.layout.mask is None else self.layout.mask.astype(self.dtype)
        self.optimizer = Optimizer(setup.optimizer, self.layout.size, self.dtype)
        self.carried = CarriedStates(
            setup.model,
            initial=lambda batch: flat(initial_states(setup.model, self.layout.views(self.w), batch)),
            put=lambda state: np.array(state.T, self.dtype, order="C"),
            fetch=lambda state: np.array(state.T, order="C"),
            batch_axis=1,
        )
        self.shards = self.threads  # of the last training batch
        self.blas = ThreadpoolController().select(user_api="blas")

    @property
    def kernel(self) -> str:
        library = ", ".join(sorted({str(info["internal_api"]) for info in self.blas.info()})) or "BLAS"
        return f"NumPy {library}, {self.shards} shard{'s' if self.shards > 1 else ''}"

    def put_weights(self, weights: Weights) -> None:
        self.layout.pack(checks.weights(weights, self.model), self.w)
        self.version += 1
        self.optimizer.reset()
        self.begin_epoch(0)

    def weights(self) -> Weights:
        return self.layout.unpack(self.w)

    def optimizer_state(self) -> Weights:
        slots = {name: self.layout.unpack(slot) for name, slot in self.optimizer.slots.items()}
        return optimizer_state.to_canonical(slots, self.optimizer.t)

    def put_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        slots, self.optimizer.t = optimizer_state.from_canonical(state, self.optimizer.spec, self.model)
        for name, arrays in slots.items():
            self.layout.pack(arrays, self.optimizer.slots[name])

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.begun += 1

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        x, y = checks.inputs(x, self.model), checks.labels(y, len(x), self.model)
        self.pool.start(self.threads - 1)
        self._share(split, x, y)
        self.sizes[split] = len(x)

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        checks.batches(batches, rates, checks.size(self.sizes, "train"))
        steps = self.model.steps
        k = self.truncate or steps
        chunks = [(first, min(first + k, steps)) for first in range(0, steps, k)]
        losses = np.empty((len(batches), len(chunks)))
        with self._single_threaded_blas():
            for step, (batch, rate) in enumerate(zip(batches, rates, strict=True)):
                for c, chunk in enumerate(chunks):
                    losses[step, c] = self._gradients("train", batch, chunk, self._dropout())
                    self.optimizer.update(self.w, self.g[0], float(rate))
                    self.version += 1
        return losses.mean(axis=1)

    def dropout_masks(self, epoch: int, batch: int, count: int) -> list[np.ndarray]:
        parts = shards(batch, self.threads)
        streams = [dropout_stream(self.setup.seed, number, epoch) for number in range(len(parts))]
        masks = []
        for _ in range(count):
            masks.append(np.empty(self.setup.mask_shape(batch)))
            for part, drawn in zip(parts, streams, strict=True):
                for layer, mask in enumerate(masks[-1]):
                    draw_mask(drawn, self.model.dropout, layer, mask[part].transpose(2, 1, 0))
        return masks

    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        return self._forward(split, ranges, self.model.classes, features=False)

    def features(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        return self._forward(split, ranges, self.model.width, features=True)

    def outputs(self, x: np.ndarray) -> Outputs:
        return self._named(*self._outputs(checks.inputs(x, self.model, any_length=True), None))

    def advance(self, x: np.ndarray) -> Outputs:
        return self._named(*self._advance(x))

    def read_on(self, x: np.ndarray, *, sequence: bool = False) -> np.ndarray:
        ys, _, logits, _ = self._advance(x)
        return ys if sequence else logits

    def states(self) -> States:
        return self.carried.named(self.carried.tensors)

    def put_states(self, states: Mapping[str, np.ndarray]) -> None:
        self.carried.put(states)

    def reset(self, *names: str) -> None:
        self.carried.reset(names)

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        x, y = checks.inputs(x, self.model), checks.labels(y, len(x), self.model)
        self._share("given", x, y)
        with self._single_threaded_blas():
            loss = self._gradients("given", np.arange(len(x)), (0, x.shape[1]))
        return Gradients(loss, self.layout.unpack(self.g[0]))

    def gradient_flow(self, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        """‖∂L/∂h_t‖ (T,) of every layer and direction (`layers.0.forward`), for x (B, T, I), y (B,).

        L is the batch's loss, h the cell's first state where it has one and its output elsewhere; the
        norm is over batch and units.
        """
        with self._single_threaded_blas():
            return self.pool.first.gradient_flow(self.version, np.asarray(x, self.dtype), y)

    def matmul(self, m: int, k: int, n: int, repeats: int) -> None:
        parts = shards(m, self.threads)
        with self._single_threaded_blas():
            self.pool.call("matmul", [(part.stop - part.start, k, n, repeats) for part in parts])

    def synchronize(self) -> None:
        """NumPy has returned only when it is done."""

    def device_peak_memory_bytes(self) -> int | None:
        return None

    def details(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self.pool.close()

    def _single_threaded_blas(self) -> AbstractContextManager[Any]:
        limiter: AbstractContextManager[Any] = self.blas.limit(limits=1)
        return limiter

    def _share(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Gives all shards x and y under the name of a split."""
        self.pool.put(f"x.{split}", np.ascontiguousarray(x, self.dtype))
        self.pool.put(f"y.{split}", y)

    def _gradients(
        self,
        split: str,
        batch: np.ndarray,
        steps: tuple[int, int],
        dropout: tuple[int, int] | np.ndarray | None = None,
    ) -> float:
        """Leaves the gradient of the mean loss over the rows `batch` (B,) in `g[0]`; returns the loss."""
        parts = shards(len(batch), self.threads)
        self.shards = len(parts)
        self.pool.buffer("rows", len(batch), np.int64)[: len(batch)] = batch
        share = 1.0 / len(batch)
        losses = self.pool.call(
            "gradients",
            [(self.version, split, (part.start, part.stop), steps, share, dropout) for part in parts],
        )
        for g in self.g[1 : len(parts)]:
            self.g[0] += g
        if self.mask is not None:
            self.g[0] *= self.mask
        return math.fsum(losses)

    def _dropout(self) -> tuple[int, int] | np.ndarray | None:
        """What the next update drops by, see `Shard.gradients`."""
        return (self.epoch, self.begun) if self.model.dropout else None

    def _advance(self, x: np.ndarray) -> Found:
        x = checks.inputs(x, self.model, any_length=True)
        found = self._outputs(x, by_block(self.model, self.carried.before(len(x))))
        self.carried.tensors = flat(found[-1])
        return found

    def _outputs(self, x: np.ndarray, start: BlockStates | None) -> Found:
        with self._single_threaded_blas():
            return self.pool.first.outputs(self.version, np.asarray(x, self.dtype), start)

    def _named(
        self, sequence: np.ndarray, last: np.ndarray, logits: np.ndarray, final: BlockStates
    ) -> Outputs:
        return Outputs(sequence, last, logits, self.carried.named(flat(final)))

    def _forward(
        self, split: str, ranges: Sequence[tuple[int, int]], width: int, *, features: bool
    ) -> np.ndarray:
        """What the forward pass finds (N, width) over every range of a split, one below the other."""
        checks.ranges(ranges, checks.size(self.sizes, split))
        count = sum(stop - start for start, stop in ranges)
        room = self.pool.buffer("result", count * width, self.dtype)
        each: list[list[tuple[int, int, int]]] = [[] for _ in range(self.threads)]
        into = 0
        for start, stop in ranges:
            for shard, part in enumerate(shards(stop - start, self.threads)):
                each[shard].append((start + part.start, start + part.stop, into + part.start))
            into += stop - start
        busy = [parts for parts in each if parts]
        with self._single_threaded_blas():
            self.pool.call("forward", [(self.version, split, parts, features) for parts in busy])
        return room[: count * width].reshape(count, width).copy()


def shards(size: int, threads: int) -> list[slice]:
    """`size` rows cut into contiguous parts that differ by one row at most: one for each thread, but fewer
    where a part would have less than MIN_SHARD_ROWS rows."""
    return split_evenly(size, max(1, min(size // MIN_SHARD_ROWS, threads)))
