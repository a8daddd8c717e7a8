"""A session in PyTorch whose training steps, predictions and steps of a stream are CUDA graphs.

Legend: N sequences of a split, S steps, T time steps, B batch, I input features, K chunks of a sequence.
"""

from collections.abc import Sequence

import numpy as np
import torch

from harness.backends.base import Setup
from harness.backends.torch import cuda_graph
from harness.backends.torch.device import dtype, resolve
from harness.backends.torch.model import ModelOutputs
from harness.backends.torch.session import TorchSession


def available(setup: Setup) -> bool:
    """Whether a setup's session works by graphs: on CUDA, with weights in float32, the type in which
    optimisers read their rate from the device."""
    device = resolve(setup.device)
    return cuda_graph.supported(torch.device(device)) and dtype(setup.precision, device) == torch.float32


class GraphedSession(TorchSession):
    """See `harness.backends.base.Session`. A graph is captured when its batch size, or the shape of its
    inputs, is met first."""

    _rate_on_device = True

    def __init__(self, setup: Setup, implementation: str) -> None:
        super().__init__(setup, implementation)
        self.steps_per_launch = cuda_graph.steps_per_graph(self._spec.steps)
        self._begin_graphs()

    @property
    def kernel(self) -> str:
        """The path that is captured."""
        return f"{super().kernel}, CUDA graph"

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        """Keeps a split on the device: x (N, T, I), y (N,)."""
        super().load(split, x, y)
        self._begin_graphs()

    def close(self) -> None:
        """Lets go of weights, data, graphs and threads."""
        self._updates_of.clear()
        self._forward_of.clear()
        super().close()

    def _begin_graphs(self) -> None:
        """Lets go of all graphs, of which some read a split. New ones have a new pool, since the allocator
        takes none that it still keeps for others that are gone."""
        self._updates_of: dict[int, cuda_graph.GraphedUpdates] = {}  # by batch size
        self._forward_of: dict[tuple, cuda_graph.GraphedForward] = {}  # by shape, and if states are given
        self._capture = cuda_graph.Capture(self._device)

    def _make_steps(self, batches: np.ndarray, rates: np.ndarray) -> torch.Tensor:
        """The losses (S, K) on the device, of steps whose graphs are replayed."""
        size = batches.shape[1]
        if size not in self._updates_of:
            self._updates_of[size] = self._graphed_updates(size)
        return self._updates_of[size].run(
            self._on_device(batches, torch.int64), self._on_device(rates, torch.float32)
        )

    def _graphed_updates(self, batch: int) -> cuda_graph.GraphedUpdates:
        assert self._rate is not None
        x, y = self._splits["train"]
        return cuda_graph.GraphedUpdates(
            self._capture,
            self._updates,
            x,
            y,
            rate=self._rate,
            changed=[*self._model.trained, *self._optimizer.slots()],
            batch=batch,
            chunks=len(x) // (self._truncate or len(x)),
        )

    def _computed(self, xs: torch.Tensor, states: Sequence[torch.Tensor] | None = None) -> ModelOutputs:
        """What the model makes of xs (T, B, I). The next replay of any graph overwrites it, all but the
        states that `states` become."""
        inputs = [xs, *(states or ())]
        key = states is not None, xs.shape
        if key not in self._forward_of:
            forward = self._predicted if states is None else self._read_on
            self._forward_of[key] = cuda_graph.GraphedForward(self._capture, forward, inputs)
        read: ModelOutputs = self._forward_of[key](*inputs)
        return read._replace(states=[tuple(s.clone() for s in block) for block in read.states])

    def _predicted(self, xs: torch.Tensor) -> ModelOutputs:
        """The logits and features of xs (T, B, I), and nothing else that would stay in the pool: features may
        be a view of more."""
        read = super()._computed(xs)
        features = read.features.clone()
        return ModelOutputs(None, features, features, read.logits, [])

    def _read_on(self, xs: torch.Tensor, *states: torch.Tensor) -> ModelOutputs:
        return super()._computed(xs, states)
