"""The PyTorch backend: sessions on a CPU, an NVIDIA GPU or an Apple GPU.

PyTorch is imported when a session is opened or devices are asked for, not before: which cells there are
can be told without it.
"""

from pathlib import Path

from harness.backends.base import Session, Setup
from harness.backends.implementations import implementations_in, resolve_implementation

CELLS = Path(__file__).parent / "cells"


def implementations(cell: str) -> tuple[str, ...]:
    """What the cell's file offers: "fused" where PyTorch has a stock layer, "loop", "compiled", "scan"."""
    return implementations_in(CELLS, cell)


def devices() -> dict[str, str]:
    """What PyTorch can compute on here: "cpu", "cuda:0", …, "mps", each with its name."""
    from harness.backends.torch import device

    return device.devices()


def open_session(setup: Setup) -> Session:
    """A session for a setup; raises Unavailable for a cell, an implementation, a device or a precision
    that is not here."""
    cell = setup.model.cell
    implementation = resolve_implementation("torch", cell, setup.implementation, implementations(cell))
    if setup.shards > 1:
        from harness.backends.torch.sharded import ShardedSession

        return ShardedSession(setup, implementation)
    from harness.backends.torch import graphed
    from harness.backends.torch.session import TorchSession

    kind = graphed.GraphedSession if graphed.available(setup) else TorchSession
    return kind(setup, implementation)
