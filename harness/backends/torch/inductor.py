"""`torch.compile` where its compiler works, and a clear answer where it does not."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import torch

from harness.errors import Unavailable

Function = TypeVar("Function", bound=Callable)


def require(device: torch.device) -> None:
    """Raises Unavailable, naming what torch.compile lacks on this machine for this device."""
    missing = [what for what, found in _needs(device) if not found]
    if missing:
        raise Unavailable(
            f"torch has no compiled implementation here; torch.compile lacks {', '.join(missing)}"
        )


def _needs(device: torch.device) -> list[tuple[str, bool]]:
    default = "clang++" if sys.platform == "darwin" else "g++"
    compiler = os.environ.get("CXX", default)
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    needs = [
        (f"a C++ compiler ({compiler})", shutil.which(compiler) is not None),
        (f"Python's C headers ({headers})", headers.exists()),
    ]
    if device.type == "cuda":
        needs.append(("the package triton", find_spec("triton") is not None))
    return needs


def compile(function: Function, device: str) -> Function:
    """The function as one graph for each shape that it meets: nothing falls back to eager unseen. `device`
    is "cpu", "cuda" or "mps".

    Fixed shapes give the fastest code; a new batch size is compiled anew. Sessions share the limit on
    how often that may happen, and passing it is an error. On CUDA the compiler times cuBLAS and its own
    kernels on every product, and takes the fastest; the modes in which it also makes CUDA graphs cannot be
    captured in those of a session.
    """
    from torch._dynamo import config

    config.recompile_limit = 1024
    config.accumulated_recompile_limit = 4096
    config.fail_on_recompile_limit_hit = True
    mode = "max-autotune-no-cudagraphs" if device == "cuda" else None
    return torch.compile(function, fullgraph=True, dynamic=False, mode=mode)
