"""The PyTorch backend: sessions on a CPU, an NVIDIA GPU or an Apple GPU.

PyTorch is imported when a session is opened or devices are asked for, not before: which cells there are
can be told without it.
"""

from pathlib import Path

from harness.backends.base import Session, Setup
from harness.backends.implementations import offers
from harness.errors import Unavailable

CELLS = Path(__file__).parent / "cells"


def implementations(cell: str) -> tuple[str, ...]:
    """What the cell's file offers: "fused" where PyTorch has a stock layer, "loop", "compiled", "scan"."""
    return offers(CELLS, cell)


def devices() -> dict[str, str]:
    """What PyTorch can compute on here: "cpu", "cuda:0", …, "mps", each with its name."""
    from harness.backends.torch import device

    return device.devices()


def open_session(setup: Setup) -> Session:
    """A session for a setup; raises Unavailable for a cell, an implementation, a device or a precision
    that is not here."""
    name = setup.model.cell
    offered = implementations(name)
    if not offered:
        raise Unavailable(f"torch has no {name}")
    chosen = offered[0] if setup.implementation == "auto" else setup.implementation
    if chosen not in offered:
        raise Unavailable(f"torch has no {chosen} {name}; it has: {', '.join(offered)}")
    from harness.backends.torch.session import TorchSession

    return TorchSession(setup, chosen)
