"""What a run may be given: cores, GPUs. Looks at the system only, imports no framework."""

import os
import re
import sys
from pathlib import Path

from harness.errors import Unavailable
from harness.measure.machine import cores


def gpus() -> list[str]:
    """The CUDA devices that this process may use, by the number or name that CUDA_VISIBLE_DEVICES takes."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    numbers = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*"))
    return sorted((match[1] for match in numbers if match), key=int)


def wanted_gpus(device: str, supported: tuple[str, ...]) -> list[str]:
    """The GPUs any one of which would serve `device`; [] for a run on the CPU. Raises Unavailable."""
    here = gpus() if "cuda" in supported else []
    if device == "auto":
        return here
    if device == "mps" and sys.platform != "darwin":
        raise Unavailable("device=mps: there is none on this system; available: " + _available(here))
    if not device.startswith("cuda"):
        return []
    number = device.partition(":")[2]
    if not here or (number and int(number) >= len(here)):
        raise Unavailable(
            f"device={device}: there is no such CUDA device here; available: {_available(here)}"
        )
    return [here[int(number)]] if number else here


def label(gpu: str | None) -> str | None:
    """The name of a leased GPU among all that are visible here: "cuda:0", "cuda:1", …"""
    return None if gpu is None else f"cuda:{gpus().index(gpu)}"


def thread_count(asked: int | None, *, gpu: bool) -> int:
    """Cores for a run: those asked for, else all of them, or an equal share for each GPU."""
    here = len(cores())
    if asked is None:
        return max(1, here // max(1, len(gpus()))) if gpu else here
    if asked > here:
        raise Unavailable(f"threads={asked}: this process may use {here} cores")
    return asked


def _available(here: list[str]) -> str:
    return ", ".join(["cpu", *(f"cuda:{n}" for n in range(len(here)))])
