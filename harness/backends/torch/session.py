"""A session in PyTorch.

Legend: N sequences of a split, S steps, T time steps, B batch, I input features, H hidden units,
C classes, D directions, K chunks of a sequence. On the device time comes first: a split is (T, N, I),
a batch (T, B, I).
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import numpy as np
import torch

from harness.backends import checks, optimizer_state
from harness.backends.base import Gradients, Outputs, Setup, States, Weights
from harness.backends.states import CarriedStates, by_block, flat
from harness.backends.torch import inductor, kernel, model
from harness.backends.torch.cells import State
from harness.backends.torch.details import details
from harness.backends.torch.device import configure, devices, dtype, resolve
from harness.backends.torch.loss_scaling import ScaledOptimizer
from harness.backends.torch.model import ModelOutputs
from harness.backends.torch.optimizer import Optimizer
from harness.backends.torch.products import MatrixProducts
from harness.backends.torch.randomness import Stream


class TorchSession:
    """A model on a device, with its optimiser and its data; see `harness.backends.base.Session`."""

    steps_per_launch = 1
    _rate_on_device = False  # where the optimiser reads the learning rate

    def __init__(self, setup: Setup, implementation: str) -> None:
        self.implementation = implementation
        self.device = resolve(setup.device)
        self.device_name = devices()[self.device]
        self._spec = setup.model
        self._truncate = setup.truncate
        self._setup = setup
        self._dtype = dtype(setup.precision, self.device)
        self._device = torch.device(self.device)
        if implementation == "compiled":
            inductor.require(self._device)
        self._threads_before = torch.get_num_threads()
        configure(setup.threads, tf32=setup.precision == "tf32")
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        place = {"device": self._device, "dtype": self._dtype}
        self._model = model.build(setup, implementation, **place)
        self._rate = torch.zeros((), device=self._device) if self._rate_on_device else None
        self._steps = 0  # updates so far
        kind = ScaledOptimizer if setup.precision == "float16" else Optimizer
        self._optimizer = kind(setup.optimizer, self._model.trained, self._model.partly_trained, self._rate)
        self._dropout = Stream(setup.seed, self._device) if setup.model.dropout else None
        self._carried = CarriedStates(
            setup.model,
            initial=lambda batch: flat(self._model.initial_states(batch)),
            put=lambda state: torch.tensor(state, **place),
            fetch=copied,
        )
        self._splits: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._sizes: dict[str, int] = {}  # sequences of every split
        self._inside = self._model.low or self._dtype  # the type that layers compute in
        self._products = MatrixProducts(self._device, self._inside)

    @property
    def kernel(self) -> str:
        """ "oneDNN", "cuDNN", "MPS" or "ATen" of a stock layer, "ATen loop", "ATen scan", or "Inductor"."""
        return self._path

    @cached_property
    def _path(self) -> str:
        path = {"loop": "ATen loop", "scan": "ATen scan", "compiled": "Inductor"}.get(self.implementation)
        if path is None:
            xs = torch.zeros(self._spec.steps, 2, self._spec.features, device=self._device, dtype=self._dtype)
            path = kernel.kernel_path(lambda: self._model(xs))
        return path

    def put_weights(self, weights: Weights) -> None:
        """Takes a copy of canonical weights, sets the optimiser back to its first step and dropout to the
        beginning of epoch 0."""
        self._model.put(checks.weights(weights, self._spec))
        self._optimizer.reset()
        self._steps = 0
        self.begin_epoch(0)

    def weights(self) -> Weights:
        """A copy of the present weights, canonical, in the type that the precision holds them in."""
        return self._model.canonical()

    def optimizer_state(self) -> Weights:
        """A copy of `step` and of the optimiser's slots, canonical."""
        by_slot = {slot: self._model.canonical(of) for slot, of in self._optimizer.named().items()}
        state = optimizer_state.to_canonical(by_slot, self._steps)
        return self._optimizer.scale.named(state) if isinstance(self._optimizer, ScaledOptimizer) else state

    def put_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes a copy of what `optimizer_state` gave, in the place where slots stay."""
        by_slot, self._steps = optimizer_state.from_canonical(state, self._optimizer.spec, self._spec)
        self._optimizer.put({slot: dict(self._model.stored(w)) for slot, w in by_slot.items()}, self._steps)
        if isinstance(self._optimizer, ScaledOptimizer):
            self._optimizer.scale.put(state)

    def begin_epoch(self, epoch: int) -> None:
        """Drops by the numbers of this epoch from here on."""
        if self._dropout:
            self._dropout.begin(epoch)

    def dropout_masks(self, epoch: int, batch: int, count: int) -> list[np.ndarray]:
        """What the outputs between layers are multiplied by in the first `count` updates of an epoch."""
        dropout = Stream(self._setup.seed, self._device)
        return dropout.masks(epoch, self._spec.dropout, self._setup.mask_shape(batch), count, self._inside)

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Keeps a split on the device: x (N, T, I), y (N,); every later batch is gathered there."""
        x, y = checks.inputs(x, self._spec), checks.labels(y, len(x), self._spec)
        self._splits[split] = self._time_first(x), self._labels(y)
        self._sizes[split] = len(x)

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Runs S updates, with `truncate` one for every chunk: batches (S, B) of indices, rates (S,);
        returns the losses (S,) float64, the mean over the chunks of each.

        The host waits for the device once, at the end, when it fetches the losses.
        """
        checks.batches(batches, rates, checks.size(self._sizes, "train"))
        with self._dropout.drawn() if self._dropout else nullcontext():
            losses = self._make_steps(batches, rates)
        self._steps += losses.numel()
        return losses.cpu().double().mean(1).numpy()

    def _make_steps(self, batches: np.ndarray, rates: np.ndarray) -> torch.Tensor:
        """The losses (S, K) on the device, of updates one after the other."""
        x, y = self._splits["train"]
        losses: list[torch.Tensor] = []
        for index, rate in zip(self._on_device(batches, torch.int64), rates.tolist(), strict=True):
            self._optimizer.set_rate(rate)
            losses += self._updates(x.index_select(1, index), y.index_select(0, index))
        return torch.stack(losses).view(len(batches), -1)

    def _updates(self, xs: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        """The losses of a batch xs (T, B, I), y (B,), each before its update: one for every chunk."""
        states: list[State] | None = None
        losses = []
        for chunk in xs.split(self._truncate) if self._truncate else (xs,):
            if states is not None:
                states = [tuple(s.detach() for s in block) for block in states]
            loss, states = self._model.loss(chunk, y, states, drop=self._dropout is not None)
            self._optimizer.clear_gradients()
            self._optimizer.backward(loss)
            self._optimizer.update()
            losses.append(loss.detach())
        return losses

    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """Logits (N, C) of the rows start:stop of every range, one batch each."""
        return self._read(split, ranges, self._spec.classes, "logits")

    def features(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """What the readout reads (N, D·H), of the rows of every range, one batch each."""
        return self._read(split, ranges, self._spec.width, "features")

    @torch.no_grad()
    def outputs(self, x: np.ndarray) -> Outputs:
        """Outputs of x (B, T, I) from the model's initial states; carries nothing."""
        x = checks.inputs(x, self._spec, any_length=True)
        return self._outputs(self._model(self._time_first(x), keep=True))

    @torch.no_grad()
    def advance(self, x: np.ndarray) -> Outputs:
        """Outputs of x (B, t, I), read on from the carried states, which move along."""
        return self._outputs(self._advance(x))

    @torch.no_grad()
    def read_on(self, x: np.ndarray, *, sequence: bool = False) -> np.ndarray:
        """Only the logits (B, C) of `advance`, or only its sequence (B, t, D·H)."""
        read = self._advance(x)
        assert read.ys is not None
        return copied(read.ys.transpose(0, 1) if sequence else read.logits)

    def _advance(self, x: np.ndarray) -> ModelOutputs:
        x = checks.inputs(x, self._spec, any_length=True)
        read = self._computed(self._time_first(x), self._carried.before(len(x)))
        self._carried.tensors = flat(read.states)
        return read

    def states(self) -> States:
        """The carried states by canonical name; empty before the first `advance`."""
        return self._carried.named(self._carried.tensors)

    @torch.no_grad()
    def put_states(self, states: Mapping[str, np.ndarray]) -> None:
        """Carries copies of these states from here on, each (B, length); others stay as they are."""
        self._carried.put(states)

    @torch.no_grad()
    def reset(self, *names: str) -> None:
        """Puts carried states back to the model's initial ones: those of these names, or all."""
        self._carried.reset(names)

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        """The loss of x (B, T, I), y (B,) and its gradients before clipping; changes nothing."""
        x, y = checks.inputs(x, self._spec), checks.labels(y, len(x), self._spec)
        loss, _ = self._model.loss(self._time_first(x), self._labels(y))
        by_tensor = dict(zip(self._model.trained, self._optimizer.gradients(loss), strict=True))
        for tensor, mask in self._model.partly_trained:
            by_tensor[tensor] = by_tensor[tensor] * mask
        return Gradients(loss.item(), self._model.canonical(by_tensor))

    def matmul(self, m: int, k: int, n: int, repeats: int) -> None:
        """Multiplies (m, k) by (k, n) and the result by the transpose, `repeats` times."""
        self._products.run(m, k, n, repeats)

    def synchronize(self) -> None:
        """Returns when the device has nothing left to do."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()

    def device_peak_memory_bytes(self) -> int | None:
        """The most memory held by tensors on a CUDA device so far, in bytes; None elsewhere."""
        return torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else None

    def details(self) -> dict[str, Any]:
        """How features are padded, and the loss scale."""
        return details(self._setup, self._optimizer)

    def close(self) -> None:
        """Lets go of weights, data and threads."""
        self._splits.clear()
        del self._model, self._optimizer, self._carried, self._products
        torch.set_num_threads(self._threads_before)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.no_grad()
    def _read(self, split: str, ranges: Sequence[tuple[int, int]], width: int, what: str) -> np.ndarray:
        """The logits or the features (N, width) of the rows of every range, one batch each."""
        checks.ranges(ranges, checks.size(self._sizes, split))
        x, _ = self._splits[split]
        sizes = [stop - start for start, stop in ranges]
        found = torch.empty(sum(sizes), width, device=self._device, dtype=self._dtype)
        for (start, stop), rows in zip(ranges, found.split(sizes), strict=True):
            rows.copy_(getattr(self._computed(x[:, start:stop]), what))
        return found.cpu().numpy()

    def _computed(self, xs: torch.Tensor, states: Sequence[torch.Tensor] | None = None) -> ModelOutputs:
        """What the model makes of xs (T, B, I), from its first states or, keeping all outputs, from these."""
        blocks = None if states is None else [tuple(block) for block in by_block(self._spec, states)]
        return self._model(xs.contiguous(), blocks, keep=states is not None)

    def _outputs(self, read: ModelOutputs) -> Outputs:
        assert read.ys is not None
        return Outputs(
            copied(read.ys.transpose(0, 1)),
            copied(read.last),
            copied(read.logits),
            self._carried.named(flat(read.states)),
        )

    def _time_first(self, x: np.ndarray) -> torch.Tensor:
        """x (N, T, I) as (T, N, I) on the device, in the session's precision; a copy in any case."""
        xs = torch.from_numpy(np.array(x.swapaxes(0, 1), order="C"))
        return xs.to(self._device, self._dtype)

    def _labels(self, y: np.ndarray) -> torch.Tensor:
        return torch.tensor(y, device=self._device, dtype=torch.int64)

    def _on_device(self, array: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
        """A copy on the device; from memory that a GPU reads by itself, so that its work isn't waited for."""
        if self._device.type == "cuda":
            return torch.tensor(array, dtype=dtype).pin_memory().to(self._device, non_blocking=True)
        return torch.tensor(array, dtype=dtype, device=self._device)


def copied(tensor: torch.Tensor) -> np.ndarray:
    """A tensor for the caller to keep: no memory in common, whatever device it was on."""
    return np.array(tensor.cpu().numpy(), order="C")
