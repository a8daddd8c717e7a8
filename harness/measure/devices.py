"""The cores and GPUs that a run may use, found without importing a framework."""

import os
import re
import sys
from pathlib import Path

from harness.errors import Unavailable
from harness.measure.machine import cores


def gpus() -> list[str]:
    """The CUDA devices that this process may use, by their number or name in CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    numbers = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*"))
    return sorted((match[1] for match in numbers if match), key=int)


def candidate_gpus(device: str, supported: tuple[str, ...]) -> list[str]:
    """The GPUs that `device` may stand for; [] for a run on the CPU. Raises Unavailable."""
    visible = gpus() if "cuda" in supported else []
    if device == "auto":
        return visible
    if device == "mps" and sys.platform != "darwin":
        raise Unavailable("device=mps: this system has none; available: " + _available(visible))
    if not device.startswith("cuda"):
        return []
    number = device.partition(":")[2]
    if not visible or (number and int(number) >= len(visible)):
        raise Unavailable(f"device={device}: no such CUDA device; available: {_available(visible)}")
    return [visible[int(number)]] if number else visible


def cuda_device(gpu: str | None) -> str | None:
    """The `device` of a GPU, numbered among all visible ones: "cuda:0", "cuda:1", …; None for None."""
    return None if gpu is None else f"cuda:{gpus().index(gpu)}"


def thread_count(threads: int | None, *, gpu: bool) -> int:
    """The cores of a run: `threads`, or by default all cores, shared equally among the GPUs of a GPU run.

    Raises Unavailable for more cores than this process may use.
    """
    available = len(cores())
    if threads is None:
        return max(1, available // max(1, len(gpus()))) if gpu else available
    if threads > available:
        raise Unavailable(f"threads={threads}: this process may use {available} cores")
    return threads


def _available(visible: list[str]) -> str:
    return ", ".join(["cpu", *(f"cuda:{n}" for n in range(len(visible)))])
