"""Devices by name, and the settings that make their arithmetic exact and repeatable."""

from contextlib import suppress

import torch

from harness.environment import cpu_name
from harness.errors import Unavailable


def devices() -> dict[str, str]:
    """What PyTorch can compute on here: "cpu", "cuda:0", …, "mps", each with its name."""
    found = {"cpu": cpu_name()}
    if torch.cuda.is_available():
        found |= {f"cuda:{n}": torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())}
    if torch.backends.mps.is_available():
        found["mps"] = f"{cpu_name()} GPU"
    return found


def resolve(device: str) -> str:
    """The device that a name means: "cuda" is the current one, "auto" the best one there is.

    Raises Unavailable where there is no such device.
    """
    found = devices()
    if device == "auto":
        return next((name for name in found if name.startswith("cuda")), "mps" if "mps" in found else "cpu")
    name = "cuda:0" if device == "cuda" else device
    if name not in found:
        raise Unavailable(f"device={device} is not available to torch here; it has: {', '.join(found)}")
    return name


def dtype(precision: str, device: str) -> torch.dtype:
    """The type of "float32" or "float64"; raises Unavailable for what the device cannot compute in."""
    if device == "mps" and precision == "float64":
        raise Unavailable("precision=float64 is not available on device=mps; it has: float32")
    return {"float32": torch.float32, "float64": torch.float64}[precision]


def settle(threads: int) -> None:
    """Sets the threads, float32 products in float32 everywhere (no TF32, no bfloat16), and convolutions
    that give the same bits again."""
    torch.set_num_threads(threads)
    with suppress(RuntimeError):  # it may be set once in a process; no model here has work for that pool
        torch.set_num_interop_threads(1)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
