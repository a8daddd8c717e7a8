"""The PyTorch backend: sessions on a CPU, an NVIDIA GPU or an Apple GPU.

Legend: N sequences of a split, S steps, T time steps, B batch, I input features, H hidden units,
C classes, D directions. On the device time comes first: a split is (T, N, I), a batch (T, B, I).
"""

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch.nn import functional

from harness.backends.base import Gradients, Outputs, Setup, Weights
from harness.backends.torch import inductor, kernel
from harness.backends.torch.device import devices, dtype, resolve, settle
from harness.backends.torch.model import Model
from harness.backends.torch.optimizer import Optimizer
from harness.errors import Unavailable

__all__ = ["TorchSession", "devices", "implementations", "open_session"]


def implementations(cell: str) -> tuple[str, ...]:
    """What there is of a cell: "fused" where PyTorch has a stock layer, "loop", "compiled"."""
    module = _cell(cell)
    if module is None:
        return ()
    return ("fused", "loop", "compiled") if hasattr(module, "fused") else ("loop", "compiled")


def open_session(setup: Setup) -> "TorchSession":
    """A session for a setup; raises Unavailable for a cell, an implementation, a device or a precision
    that is not here."""
    name = setup.model.cell
    module = _cell(name)
    if module is None:
        raise Unavailable(f"torch has no {name}")
    offered = implementations(name)
    chosen = offered[0] if setup.implementation == "auto" else setup.implementation
    if chosen not in offered:
        raise Unavailable(f"torch has no {chosen} {name}; it has: {', '.join(offered)}")
    device = resolve(setup.device)
    if chosen == "compiled":
        inductor.require(torch.device(device))
    return TorchSession(setup, module, chosen, device)


def _cell(name: str) -> ModuleType | None:
    path = f"harness.backends.torch.cells.{name}"
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        return None


class TorchSession:
    """A model on a device, with its optimiser and its data; see `harness.backends.base.Session`."""

    def __init__(self, setup: Setup, cell: ModuleType, implementation: str, device: str) -> None:
        self.implementation = implementation
        self.device = device
        self.device_name = devices()[device]
        self._spec = setup.model
        self._dtype = dtype(setup.precision, device)
        self._device = torch.device(device)
        self._threads_before = torch.get_num_threads()
        settle(setup.threads)
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        self._model = Model(setup.model, cell, implementation, self._device, self._dtype)
        self._optimizer = Optimizer(setup.optimizer, self._model.trained, self._model.partly)
        self._splits: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._operands: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @cached_property
    def kernel(self) -> str:
        """ "oneDNN", "cuDNN", "MPS" or "ATen" of a stock layer, "ATen loop", or "Inductor"."""
        if self.implementation != "fused":
            return {"loop": "ATen loop", "compiled": "Inductor"}[self.implementation]
        xs = torch.zeros(self._spec.steps, 2, self._spec.features, device=self._device, dtype=self._dtype)
        return kernel.path_of(lambda: self._model(xs))

    def put_weights(self, weights: Weights) -> None:
        """Takes a copy of canonical weights and sets the optimiser back to its first step."""
        self._model.put(weights)
        self._optimizer.reset()

    def weights(self) -> Weights:
        """A copy of the present weights, canonical, in the session's precision."""
        return self._model.canonical()

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Keeps a split on the device: x (N, T, I), y (N,); every later batch is gathered there."""
        self._splits[split] = self._time_first(x), self._labels(y)

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Runs S updates: batches (S, B) of indices, rates (S,); returns the losses (S,) float64.

        The host waits for the device once, at the end, when it fetches the losses.
        """
        x, y = self._splits["train"]
        indices = self._indices(batches)
        losses = torch.empty(len(batches), device=self._device, dtype=self._dtype)
        for s, rate in enumerate(rates.tolist()):
            index = indices[s]
            _, logits = self._model(x.index_select(1, index))
            loss = functional.cross_entropy(logits, y.index_select(0, index))
            for tensor in self._model.trained:
                tensor.grad = None
            loss.backward()
            self._optimizer.update(rate)
            losses[s] = loss.detach()
        return losses.cpu().double().numpy()

    @torch.no_grad()
    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """Logits (N, C) of the rows start:stop of every range, one batch each."""
        x, _ = self._splits[split]
        logits = [
            self._model(x[:, start:stop].clone(memory_format=torch.contiguous_format))[1]
            for start, stop in ranges
        ]
        return torch.cat(logits).cpu().numpy()

    @torch.no_grad()
    def outputs(self, x: np.ndarray) -> Outputs:
        """The top layer's outputs (B, T, D·H) and the logits (B, C) of x (B, T, I)."""
        hs, logits = self._model(self._time_first(x), keep=True)
        assert hs is not None
        return Outputs(hs.transpose(0, 1).contiguous().cpu().numpy(), logits.cpu().numpy())

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        """The loss of x (B, T, I), y (B,) and its gradients before clipping; changes nothing."""
        _, logits = self._model(self._time_first(x))
        loss = functional.cross_entropy(logits, self._labels(y))
        trained = self._model.trained
        found = dict(zip(trained, torch.autograd.grad(loss, trained), strict=True))
        return Gradients(loss.item(), self._model.canonical(found))

    def matmul(self, size: int, repeats: int) -> None:
        """Does `repeats` products of two (size, size) matrices, one after the other."""
        if size not in self._operands:
            a = torch.linspace(-1.0, 1.0, size * size, device=self._device, dtype=self._dtype)
            self._operands[size] = a.view(size, size), torch.empty_like(a).view(size, size)
        a, out = self._operands[size]
        for _ in range(repeats):
            torch.mm(a, a, out=out)

    def synchronize(self) -> None:
        """Returns when the device has nothing left to do."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()

    def device_peak_memory_bytes(self) -> int | None:
        """The most memory held by tensors on a CUDA device so far, in bytes; None elsewhere."""
        return torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else None

    def close(self) -> None:
        """Lets go of weights, data and threads."""
        self._splits.clear()
        self._operands.clear()
        del self._model, self._optimizer
        torch.set_num_threads(self._threads_before)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _time_first(self, x: np.ndarray) -> torch.Tensor:
        """x (N, T, I) as (T, N, I) on the device, in the session's precision; a copy in any case."""
        xs = torch.from_numpy(np.array(x.swapaxes(0, 1), order="C"))
        return xs.to(self._device, self._dtype)

    def _labels(self, y: np.ndarray) -> torch.Tensor:
        return torch.tensor(y, device=self._device, dtype=torch.int64)

    def _indices(self, batches: np.ndarray) -> torch.Tensor:
        """batches (S, B) on the device; from pinned memory, so that a GPU's work is not waited for."""
        indices = torch.tensor(batches, dtype=torch.int64)
        if self._device.type == "cuda":
            indices = indices.pin_memory()
        return indices.to(self._device, non_blocking=True)
