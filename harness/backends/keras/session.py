"""A session of the Keras backend, the same for every engine.

Legend: N sequences of a split, S steps, T time steps, B batch, I input features, H hidden units,
C classes, D directions.
"""

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module

import numpy as np
from keras import ops

from harness.backends.base import Gradients, Outputs, Setup, Weights
from harness.backends.keras import layout, loop, optimizer
from harness.backends.keras.engines import Engine, Tensor


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
        self._engine = engine
        self._cell = import_module(f"harness.backends.keras.cells.{setup.model.cell}")
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}
        self._operands: dict[int, tuple[Tensor, Tensor]] = {}
        self._pending: list[Tensor] = []
        with engine.scope():
            self._compile()
        self.put_weights({name: np.zeros(shape) for name, shape in setup.model.shapes().items()})

    def _compile(self) -> None:
        """Makes the functions that compute; each is traced at its first call."""
        engine, model, spec = self._engine, self._model, self._optimizer
        if self.implementation == "fused":
            forward, jit = loop.fused(model, self._cell, dtype=self._precision, use_cudnn=engine.use_cudnn)
        else:
            jit = self.implementation == "compiled"
            forward = loop.stepped(model, self._cell, engine.scan(jit) or loop.one_by_one)

        def logits(params: list[Tensor], x: Tensor) -> Tensor:
            return forward(params, x)[1]

        def outputs(params: list[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
            return forward(params, x, whole=True)

        def loss(params: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
            return ops.mean(ops.sparse_categorical_crossentropy(y, logits(params, x), from_logits=True))

        trained = [None if mask is None else engine.put(mask) for mask in layout.trained(model, self._cell)]
        value_and_gradients = engine.value_and_gradients(loss)

        def gradients(params: list[Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
            value, found = value_and_gradients(params, x, y)
            pairs = zip(found, trained, strict=True)
            return value, [g if mask is None else ops.where(mask, g, 0) for g, mask in pairs]

        def update(
            params: list[Tensor], slots: list[Tensor], x: Tensor, y: Tensor, rows: Tensor, scale: Tensor
        ) -> tuple[list[Tensor], list[Tensor], Tensor]:
            value, found = gradients(params, ops.take(x, rows, axis=0), ops.take(y, rows, axis=0))
            return *optimizer.update(spec, params, found, slots, scale), value

        self._jit = jit
        self._forward = logits
        self._logits = engine.compile(logits, jit)
        self._outputs = engine.compile(outputs, jit)
        self._gradients = engine.compile(gradients, jit)
        self._window = engine.window(update, jit)

    @cached_property
    def kernel(self) -> str:
        """The engine and how it runs: "TensorFlow graph", "TensorFlow graph, cuDNN", "TensorFlow XLA", …"""
        with self._engine.scope():
            x = self._put(np.zeros((2, self._model.steps, self._model.features)))
            return self._engine.kernel(self._forward, self._params, x, self._jit)

    def put_weights(self, weights: Weights) -> None:
        """Takes a copy of canonical weights and sets the optimiser back to its first step."""
        with self._engine.scope():
            self._params = [self._put(w) for w in layout.pack(self._model, self._cell, weights)]
            self._slots = optimizer.start(self._optimizer, self._params)
        self._steps = 0

    def weights(self) -> Weights:
        """A copy of the present weights, canonical, in the session's precision."""
        return self._canonical(self._params)

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Keeps a split on the device: x (N, T, I), y (N,)."""
        with self._engine.scope():
            self._splits[split] = self._put(x), self._engine.put(np.asarray(y, np.int64))

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Runs S updates: batches (S, B) of indices, rates (S,); returns the losses (S,) float64."""
        x, y = self._splits["train"]
        scales = optimizer.scales(self._optimizer, self._steps, rates).astype(self._precision)
        with self._engine.scope():
            self._params, self._slots, losses = self._window(
                self._params, self._slots, x, y, np.asarray(batches, np.int64), scales
            )
        self._steps += len(rates)
        return losses

    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """Logits (N, C) of the rows start:stop of every range, one batch each.

        All batches have the size of the largest range, so that no remainder is compiled for itself: a
        shorter one takes rows beside it along, whose logits are dropped.
        """
        x, _ = self._splits[split]
        size = max(stop - start for start, stop in ranges)
        found = []
        with self._engine.scope():
            for start, stop in ranges:
                begin = max(0, min(start, x.shape[0] - size))
                logits = self._logits(self._params, self._engine.rows(x, begin, size))
                found.append((logits, slice(start - begin, stop - begin)))
        return np.concatenate([self._fetch(logits)[rows] for logits, rows in found])

    def outputs(self, x: np.ndarray) -> Outputs:
        """The top layer's outputs (B, T, D·H) and the logits (B, C) of x (B, T, I)."""
        with self._engine.scope():
            sequence, logits = self._outputs(self._params, self._put(x))
        return Outputs(self._fetch(sequence), self._fetch(logits))

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        """The loss of x (B, T, I), y (B,) and its gradients before clipping; changes nothing."""
        with self._engine.scope():
            labels = self._engine.put(np.asarray(y, np.int64))
            loss, gradients = self._gradients(self._params, self._put(x), labels)
        return Gradients(float(loss), self._canonical(gradients))

    def matmul(self, size: int, repeats: int) -> None:
        """Does `repeats` products of two (size, size) matrices, each waiting for the one before."""
        with self._engine.scope():
            if size not in self._operands:
                self._operands[size] = self._put(hartley(size)), self._put(np.linspace(-1, 1, size**2))
            a, b = self._operands[size]
            b = ops.reshape(b, (size, size))
            for _ in range(repeats):
                b = ops.matmul(a, b)
            self._pending = [b]

    def synchronize(self) -> None:
        """Returns when the device has nothing left to do."""
        self._engine.synchronize([*self._params, *self._pending])

    def device_peak_memory_bytes(self) -> int | None:
        """The most memory held on a GPU so far, in bytes; None on a CPU."""
        return self._engine.device_peak_memory_bytes()

    def close(self) -> None:
        """Lets go of weights, data and compiled functions; the engine's threads end with the process."""
        self._params, self._slots, self._pending = [], [], []
        self._splits.clear()
        self._operands.clear()
        del self._forward, self._logits, self._outputs, self._gradients, self._window
        self._engine.close()

    def _put(self, array: np.ndarray) -> Tensor:
        """A copy on the device, in the session's precision."""
        return self._engine.put(np.asarray(array, self._precision))

    def _fetch(self, tensor: Tensor) -> np.ndarray:
        found: np.ndarray = ops.convert_to_numpy(tensor)
        return found

    def _canonical(self, tensors: Sequence[Tensor]) -> Weights:
        return layout.unpack(self._model, self._cell, [self._fetch(tensor) for tensor in tensors])


def hartley(size: int) -> np.ndarray:
    """The orthogonal matrix cas(2π j k / size) / √size (size, size), its own inverse: products with it
    neither grow nor vanish."""
    index = np.arange(size)
    angles = 2 * np.pi * index / size
    return ((np.cos(angles) + np.sin(angles)) / np.sqrt(size))[np.outer(index, index) % size]
