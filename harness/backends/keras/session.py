"""A session of the Keras backend, the same for every engine.

Legend: N sequences of a split, S steps, T time steps, B batch, I input features, H hidden units,
C classes, D directions.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from keras import ops

from harness.backends import checks, optimizer_state
from harness.backends.base import Gradients, Outputs, Setup, States, Weights
from harness.backends.keras import functions, loop, optimizer, packing
from harness.backends.keras.dropout import stream
from harness.backends.keras.engines import Engine, Tensor
from harness.backends.states import CarriedStates
from harness.model.optimizer import SLOTS


class KerasSession:
    """A model on a device, with its optimiser and its data; see `harness.backends.base.Session`.

    Weights and optimiser slots are flat lists of tensors that go through pure functions, so nothing is
    traced anew when they are replaced.
    """

    def __init__(
        self, setup: Setup, engine: Engine, *, implementation: str, device: str, device_name: str
    ) -> None:
        self.implementation = implementation
        self.device = device
        self.device_name = device_name
        self._model = setup.model
        self._optimizer = setup.optimizer
        self._precision = setup.precision
        self._setup = setup
        self._chunks = setup.model.steps // (setup.truncate or setup.model.steps)
        self._engine = engine
        self._cell = import_module(f"harness.backends.keras.cells.{setup.model.cell}")
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}
        self._sizes: dict[str, int] = {}  # sequences of every split
        self._data: tuple[Tensor, ...] = ()  # what `train` takes its batches from
        self._operands: dict[tuple[int, int, int], tuple[Tensor, Tensor, Tensor]] = {}
        self._pending: list[Tensor] = []
        self._carried = CarriedStates(
            setup.model, initial=self._initial, put=self._put, fetch=lambda tensor: self._fetch(tensor).copy()
        )
        with engine.scope():
            self._functions = functions.build(setup, self._cell, engine, implementation)
        self.steps_per_launch = math.ceil(engine.updates_per_launch / self._chunks)
        self.put_weights({name: np.zeros(shape) for name, shape in setup.model.shapes().items()})

    @cached_property
    def kernel(self) -> str:
        """The engine and how it runs: "TensorFlow graph", "TensorFlow graph, cuDNN", "TensorFlow XLA", …"""
        with self._engine.scope():
            x = self._put(np.zeros((2, self._model.steps, self._model.features)))
            return self._engine.kernel(self._functions.logits, self._params, x, self._functions.jit)

    def put_weights(self, weights: Weights) -> None:
        """Takes a copy of canonical weights, sets the optimiser back to its first step and dropout to the
        beginning of epoch 0."""
        weights = checks.weights(weights, self._model)
        with self._engine.scope():
            self._params = [self._put_weight(w) for w in packing.pack(self._model, self._cell, weights)]
            self._slots = optimizer.start(self._optimizer, self._params)
        self._steps = 0
        self.begin_epoch(0)

    def weights(self) -> Weights:
        """A copy of the present weights, canonical, in the session's precision."""
        return self._canonical(self._params)

    def optimizer_state(self) -> Weights:
        """A copy of `step` and of the optimiser's slots, canonical."""
        P = len(self._params)
        slots = {
            name: self._canonical(self._slots[k * P : (k + 1) * P])
            for k, name in enumerate(SLOTS[self._optimizer.name])
        }
        return optimizer_state.to_canonical(slots, self._steps)

    def put_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes a copy of what `optimizer_state` gave."""
        slots, self._steps = optimizer_state.from_canonical(state, self._optimizer, self._model)
        with self._engine.scope():
            self._slots = [
                self._put_weight(array)
                for name in SLOTS[self._optimizer.name]
                for array in packing.pack(self._model, self._cell, slots[name])
            ]

    def begin_epoch(self, epoch: int) -> None:
        """Drops by the numbers of this epoch from here on."""
        self._stream, self._updates = stream(self._setup.seed, epoch), 0

    def dropout_masks(self, epoch: int, batch: int, count: int) -> list[np.ndarray]:
        """What the outputs between layers are multiplied by in the first `count` updates of an epoch."""
        drawn = stream(self._setup.seed, epoch)
        with self._engine.scope():
            ones = self._put(np.ones(self._setup.mask_shape(batch)[1:]))
            numbers = [self._engine.put(np.array([drawn, k, k % self._chunks])) for k in range(count)]
            return [self._fetch(self._functions.dropout_masks(ones, each)) for each in numbers]

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Keeps a split on the device: x (N, T, I), y (N,)."""
        x, labels = checks.inputs(x, self._model), checks.labels(y, len(x), self._model)
        self._sizes[split] = len(x)
        with self._engine.scope():
            self._splits[split] = self._put(x), self._engine.put(labels)
            if split == "train":
                self._data = self._splits[split]
                if self._chunks > 1:  # (N · chunks, k, I), so that a row is a chunk
                    x = x.reshape(len(x) * self._chunks, -1, x.shape[2])
                    self._data = self._put(x), self._engine.put(np.repeat(labels, self._chunks))

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Runs S updates, or T/k times as many: batches (S, B) of indices, rates (S,); returns the mean
        losses (S,) float64."""
        checks.batches(batches, rates, checks.size(self._sizes, "train"))
        C, (S, B) = self._chunks, batches.shape
        number, chunk = np.arange(S * C) + self._updates, np.arange(S * C) % C
        scales = optimizer.scales(self._optimizer, self._steps, np.repeat(rates, C))
        plan = [
            np.repeat(np.asarray(batches, np.int64), C, axis=0) * C + chunk[:, None],
            scales.astype(self._precision),
            np.stack([np.full(S * C, self._stream), number, chunk], axis=1),
        ]
        with self._engine.scope():
            states = self._initial(B) if C > 1 else []
            carry, losses = self._functions.train_loop((self._params, self._slots, states), self._data, plan)
        self._params, self._slots, _ = carry
        self._steps += S * C
        self._updates += S * C
        return losses.reshape(S, C).mean(axis=1)

    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """Logits (N, C) of the rows start:stop of every range, one batch each."""
        return self._rows(split, ranges, lambda pair: pair[1])

    def features(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """What the readout reads (N, D·H), of the rows of every range."""
        return self._rows(split, ranges, lambda pair: pair[0])

    def _rows(
        self, split: str, ranges: Sequence[tuple[int, int]], choose: Callable[[tuple[Tensor, Tensor]], Tensor]
    ) -> np.ndarray:
        """All batches have the size of the largest range, so that no remainder is compiled for itself: a
        shorter one takes rows beside it along, whose results are dropped."""
        checks.ranges(ranges, checks.size(self._sizes, split))
        x, _ = self._splits[split]
        size = max(stop - start for start, stop in ranges)
        results = []
        with self._engine.scope():
            for start, stop in ranges:
                begin = max(0, min(start, x.shape[0] - size))
                rows = choose(
                    self._functions.features_and_logits(self._params, self._engine.rows(x, begin, size))
                )
                results.append((rows, slice(start - begin, stop - begin)))
        return np.concatenate([self._fetch(rows)[part] for rows, part in results])

    def outputs(self, x: np.ndarray) -> Outputs:
        """Outputs of x (B, T, I) from the model's initial states; carries nothing."""
        x = checks.inputs(x, self._model, any_length=True)
        with self._engine.scope():
            return self._named(self._functions.outputs(self._params, self._initial(len(x)), self._put(x)))

    def advance(self, x: np.ndarray) -> Outputs:
        """Outputs of x (B, t, I), any t ≥ 1, read on from the carried states, which move along."""
        return self._named(self._advance(x))

    def read_on(self, x: np.ndarray, *, sequence: bool = False) -> np.ndarray:
        """Only the logits (B, C) of `advance`, or only its sequence (B, t, D·H)."""
        ys, _, logits, _ = self._advance(x)
        return self._fetch(ys if sequence else logits)

    def _advance(self, x: np.ndarray) -> tuple[Tensor, ...]:
        x = checks.inputs(x, self._model, any_length=True)
        with self._engine.scope():
            results = self._functions.outputs(self._params, self._carried.before(len(x)), self._put(x))
        *_, self._carried.tensors = results
        return results

    def states(self) -> States:
        """The carried states by canonical name; empty before the first `advance`."""
        return self._carried.named(self._carried.tensors)

    def put_states(self, states: Mapping[str, np.ndarray]) -> None:
        """Carries these states from here on, each (B, length); others stay as they are."""
        with self._engine.scope():
            self._carried.put(states)

    def reset(self, *names: str) -> None:
        """Puts carried states back to the model's initial ones: those of these names, or all."""
        with self._engine.scope():
            self._carried.reset(names)

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        """The loss of x (B, T, I), y (B,) and its gradients before clipping; changes nothing."""
        x, y = checks.inputs(x, self._model), checks.labels(y, len(x), self._model)
        with self._engine.scope():
            loss, gradients, _ = self._functions.gradients(self._params, self._put(x), self._engine.put(y))
        return Gradients(float(loss), self._canonical(gradients))

    def matmul(self, m: int, k: int, n: int, repeats: int) -> None:
        """Multiplies (m, k) by (k, n) and the result by the transpose, `repeats` times, each product
        waiting for the one before."""
        with self._engine.scope():
            if (m, k, n) not in self._operands:
                rng = np.random.default_rng(0)  # regular numbers draw less power, so that a GPU clocks higher
                x, w = rng.standard_normal((m, k)), orthogonal(k, n, rng)
                self._operands = {(m, k, n): (self._put(x), self._put(w), self._put(w.T))}
            x, w, back = self._operands[m, k, n]
            self._pending = [self._functions.matmul_pairs(x, repeats, w, back)]

    def synchronize(self) -> None:
        """Returns when the device has nothing left to do."""
        self._engine.synchronize([*self._params, *self._pending, *(self._carried.tensors or ())])

    def device_peak_memory_bytes(self) -> int | None:
        """The most memory held on a GPU so far, in bytes; None on a CPU."""
        return self._engine.device_peak_memory_bytes()

    def details(self) -> dict[str, Any]:
        """Nothing beside `kernel`."""
        return {}

    def close(self) -> None:
        """Lets go of weights, data and compiled functions; the engine's threads end with the process."""
        self._params, self._slots, self._pending = [], [], []
        self._splits.clear()
        self._data = ()
        self._operands.clear()
        self._carried.tensors = None
        del self._functions
        self._engine.close()

    def _put(self, array: np.ndarray) -> Tensor:
        """A copy on the device, in the session's precision."""
        return self._engine.put(np.asarray(array, self._precision))

    def _put_weight(self, array: np.ndarray) -> Tensor:
        return self._engine.put_weight(np.asarray(array, self._precision))

    def _fetch(self, tensor: Tensor) -> np.ndarray:
        array: np.ndarray = ops.convert_to_numpy(tensor)
        return array

    def _initial(self, batch: int) -> list[Tensor]:
        """The states that B sequences begin with."""
        return loop.initial(self._model, self._params, batch, self._precision)

    def _named(self, results: tuple[Tensor, ...]) -> Outputs:
        sequence, last, logits, states = results
        named = self._carried.named(states)
        return Outputs(self._fetch(sequence), self._fetch(last), self._fetch(logits), named)

    def _canonical(self, tensors: Sequence[Tensor]) -> Weights:
        return packing.unpack(self._model, self._cell, [self._fetch(tensor) for tensor in tensors])


def orthogonal(k: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """The first rows and columns (k, n) of a random reflection 1 - 2 v vᵀ: products with it and its
    transpose, any number of times, neither grow nor vanish."""
    v = rng.standard_normal(max(k, n))
    v /= np.linalg.norm(v)
    return np.eye(k, n) - 2 * np.outer(v[:k], v[:n])
