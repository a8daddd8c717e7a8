"""Sessions that work by CUDA graphs, on a machine without CUDA: all of it but the capture itself."""

import sys
from collections.abc import Callable, Sequence

import pytest
import torch
from torch.utils._pytree import tree_leaves

from harness.backends.torch import cuda_graph


class Uncaptured:
    """In the place of `cuda_graph.Capture`: what would be captured is done anew in each replay. As in a
    shared pool, a replay overwrites what the one before it has returned."""

    captures = 0
    replays = 0

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.returned: list[torch.Tensor] = []

    def __call__(
        self,
        work: Callable[[], None],
        changed: Sequence[torch.Tensor] = (),
        *,
        warm_up: int = cuda_graph.WARM_UP,
    ) -> Callable[[], None]:
        with cuda_graph.restored(changed, self.device):
            for _ in range(warm_up):
                work()

        def replay() -> None:
            for tensor in self.returned:
                tensor.fill_(torch.nan)
            work()
            forward = getattr(work, "__self__", None)
            leaves = tree_leaves(forward.outputs) if forward else []
            self.returned = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
            Uncaptured.replays += 1

        Uncaptured.captures += 1
        return replay


def uncapture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the CPU graphs, of four training steps each."""
    monkeypatch.setattr(cuda_graph, "supported", lambda device: True)
    monkeypatch.setattr(cuda_graph, "Capture", Uncaptured)
    monkeypatch.setattr(cuda_graph, "GROUP", 4)
    monkeypatch.setattr(Uncaptured, "captures", 0)
    monkeypatch.setattr(Uncaptured, "replays", 0)
    module = sys.modules[torch.optim.RMSprop.__module__]
    monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda: ["cpu"])
