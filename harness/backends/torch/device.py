"""Devices by name, and the settings that make their arithmetic exact and repeatable."""

from contextlib import suppress

import torch

from harness.errors import Unavailable
from harness.measure.machine import cpu_name


def devices() -> dict[str, str]:
    """What PyTorch can compute on here: "cpu", "cuda:0", …, "mps", each with its name."""
    names = {"cpu": cpu_name()}
    if torch.cuda.is_available():
        names |= {f"cuda:{n}": torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())}
    if torch.backends.mps.is_available():
        names["mps"] = f"{cpu_name()} GPU"
    return names


def resolve(device: str) -> str:
    """The device that a name means: "cuda" is the current one, "auto" the best one there is.

    Raises Unavailable where there is no such device.
    """
    available = devices()
    if device == "auto":
        return next(
            (name for name in available if name.startswith("cuda")), "mps" if "mps" in available else "cpu"
        )
    name = "cuda:0" if device == "cuda" else device
    if name not in available:
        raise Unavailable(f"device={device} is not available to torch here; it has: {', '.join(available)}")
    return name


def precisions(device: str) -> tuple[str, ...]:
    """What a device computes in: float16 on NVIDIA GPUs alone, TF32 and bfloat16 there from compute
    capability 8.0 on."""
    if device == "mps":
        return ("float32",)
    if device == "cpu":
        return ("float32", "float64", "bfloat16")
    new = torch.cuda.get_device_capability(device) >= (8, 0)
    return ("float32", "float64", *(("tf32", "bfloat16") if new else ()), "float16")


def dtype(precision: str, device: str) -> torch.dtype:
    """The type that numbers are held in; raises Unavailable for what the device does not compute in."""
    has = precisions(device)
    if precision not in has:
        raise Unavailable(
            f"precision={precision} is not available on device={device}; it has: {', '.join(has)}"
        )
    return torch.float64 if precision == "float64" else torch.float32


def configure(threads: int, *, tf32: bool) -> None:
    """Sets the number of threads, the type in which products of float32 are computed (TF32 or float32), and
    deterministic convolutions."""
    torch.set_num_threads(threads)
    with suppress(RuntimeError):  # it may be set once in a process; no model here has work for that pool
        torch.set_num_interop_threads(1)
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.deterministic = True
