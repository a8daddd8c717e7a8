"""What differs by the framework under Keras. Only the files of this folder import one.

An engine traces pure functions of lists of tensors; weights and slots go in and come out.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

Tensor = Any
Loss = Callable[[list[Tensor], Tensor, Tensor], Tensor]  # (weights, x (B, T, I), y (B,)) -> mean loss ()
Update = Callable[..., tuple[list[Tensor], list[Tensor], Tensor]]
"""(weights, slots, x (N, T, I), y (N,), rows (B,), scale (3,)) -> (weights, slots, loss ())"""
CellStep = Callable[[Tensor, tuple[Tensor, ...], Sequence[Tensor]], tuple[Tensor, ...]]
"""(projected input, state, the cell's weights) -> state"""
Scan = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
"""(cell step, projected inputs (T, B, ·), state, the cell's weights, *, reverse)
-> (outputs (T, B, H) in the order of the inputs, the last state)"""
Window = Callable[..., tuple[list[Tensor], list[Tensor], np.ndarray]]
"""(weights, slots, x, y, batches (S, B), scales (S, 3)), the last two NumPy arrays
-> (weights, slots, losses (S,)) after S updates without a host synchronisation in between"""

CAPACITY = 32  # updates in one compiled call: shapes are fixed, so that any number of steps is one trace
STEPS_AT_ONCE = 28  # time steps that are compiled as one piece, where the whole would take too long


class Engine(Protocol):
    """TensorFlow, JAX or PyTorch under Keras, on one device. `jit`: through its compiler or not."""

    name: str
    use_cudnn: bool | str  # what Keras' layers are told: "auto", or False on a CPU next to a GPU

    def __init__(self, device: str, *, threads: int, precision: str) -> None: ...

    @staticmethod
    def devices() -> dict[str, str]:
        """What this engine can compute on here: {"cpu": "AMD EPYC …", "cuda:0": …}."""

    def scope(self) -> AbstractContextManager[Any]:
        """Within it, tensors are made and computed on the engine's device."""

    def put(self, array: np.ndarray) -> Tensor:
        """A copy on the device."""

    def rows(self, x: Tensor, start: int, size: int) -> Tensor:
        """Rows start … start + size - 1 of x (N, …), without compiling anything for each start."""

    def scan(self, jit: bool) -> Scan | None:
        """The engine's own time loop; None where it runs one step after the other, as Python says."""

    def compile(self, function: Callable[..., Any], jit: bool) -> Callable[..., Any]:
        """The function as this engine runs it."""

    def value_and_gradients(self, loss: Loss) -> Callable[..., tuple[Tensor, list[Tensor]]]:
        """(weights, x, y) -> (loss, its gradient by every weight), to be used inside what is compiled."""

    def window(self, update: Update, jit: bool) -> Window:
        """Many updates in one call."""

    def kernel(self, forward: Callable[..., Any], params: list[Tensor], x: Tensor, jit: bool) -> str:
        """The path that computes `forward(params, x)`."""

    def synchronize(self, tensors: Sequence[Tensor]) -> None:
        """Returns when the device has nothing left to do for these tensors."""

    def device_peak_memory_bytes(self) -> int | None: ...

    def close(self) -> None: ...


def environment(engine: str, threads: int) -> dict[str, str]:
    """What has to be set before Keras and its engine are imported.

    XLA's CPU pool reads its size from NPROC when it starts; GPU memory is not taken in advance.
    """
    found = {"KERAS_BACKEND": engine}
    if engine == "jax":
        found |= {"NPROC": str(threads), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return found


def lengths(steps: int) -> list[int]:
    """T as a sum of STEPS_AT_ONCE and a rest."""
    whole, rest = divmod(steps, STEPS_AT_ONCE)
    return [STEPS_AT_ONCE] * whole + [rest] * (rest > 0)


def pieces(batches: np.ndarray, scales: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """batches (S, B) and scales (S, 3) cut to CAPACITY rows each, the last one padded, and how many count."""
    for start in range(0, len(batches), CAPACITY):
        count = min(CAPACITY, len(batches) - start)
        missing = ((0, CAPACITY - count), (0, 0))
        cut = slice(start, start + count)
        yield np.pad(batches[cut], missing), np.pad(scales[cut], missing), count


def losses(parts: Sequence[tuple[Tensor, int]]) -> np.ndarray:
    """The first `count` of every (losses (CAPACITY,), count), fetched: (S,) float64."""
    return np.concatenate([np.asarray(part, np.float64)[:count] for part, count in parts])
