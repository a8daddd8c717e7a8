"""Which library computes a model's layers, from the operators that one pass calls."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

PATHS = {
    "mkldnn_rnn_layer": "oneDNN",
    "_cudnn_rnn": "cuDNN",
    "miopen_rnn": "MIOpen",
    "_lstm_mps": "MPS",
    "Mkldnn": "oneDNN",
    "Cudnn": "cuDNN",
    "Miopen": "MIOpen",
    "Mps": "MPS",
}


class _Watch(TorchDispatchMode):
    """Notes the name of every operator that runs, and of a convolution what PyTorch chooses for it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(func.overloadpacket.__name__)
        if func.overloadpacket is torch.ops.aten.convolution:
            self.seen.add(torch._C._select_conv_backend(*args).name)
        return func(*args, **(kwargs or {}))


def kernel_path(run: Callable[[], object]) -> str:
    """The library whose recurrent layer or convolution `run` calls, or "ATen" where it is PyTorch's own."""
    with _Watch() as watch:
        run()
    return next((path for operator, path in PATHS.items() if operator in watch.seen), "ATen")
