"""Which path a model's layers really take, seen by watching the operators of one pass."""

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

PATHS = {
    "mkldnn_rnn_layer": "oneDNN",
    "_cudnn_rnn": "cuDNN",
    "miopen_rnn": "MIOpen",
    "_lstm_mps": "MPS",
}


class _Watch(TorchDispatchMode):
    """Notes the name of every operator that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def path_of(run: Callable[[], object]) -> str:
    """The library whose recurrent layer `run` calls, or "ATen" where it is PyTorch's own."""
    with _Watch() as watch:
        run()
    return next((path for operator, path in PATHS.items() if operator in watch.seen), "ATen")
