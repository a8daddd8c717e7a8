"""What differs by the framework under Keras. Only the files of this folder import one.

An engine traces pure functions of lists of tensors; weights and slots go in and come out.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

Tensor = Any
State = tuple[Tensor, ...]  # of one layer and direction, each (B, length)
Carried = tuple[list[Tensor], list[Tensor], list[Tensor]]  # weights, the optimiser's slots, states
Loss = Callable[..., tuple[Tensor, list[Tensor]]]  # (weights, …) -> (mean loss (), states)
Update = Callable[[Carried, Sequence[Tensor], Sequence[Tensor]], tuple[Carried, Tensor]]
"""(carried, data, one row of every table of the plan) -> (carried, loss ())"""
CellStep = Callable[[Tensor, State, Sequence[Tensor]], tuple[Tensor, State]]
"""(input of a step, projected or not, state, the cell's weights) -> (output (B, H), state)"""
Scan = Callable[..., tuple[Tensor, State]]
"""(cell step, inputs of all steps (T, B, ·), state, the cell's weights, *, reverse)
-> (outputs (T, B, H) in the order of the inputs, the last state)"""
SequenceFunction = Callable[[Tensor, State, Sequence[Tensor]], tuple[Tensor, State]]
"""(xs (T, B, I), state, the cell's weights) -> (outputs (T, B, H), the last state)"""
Window = Callable[[Carried, Sequence[Tensor], Sequence[np.ndarray]], tuple[Carried, np.ndarray]]
"""(carried, data, plan: tables of S rows) -> (carried, losses (S,)) after S updates without a host
synchronisation in between"""

CAPACITY = 32  # updates in one compiled call: shapes are fixed, so that any number of steps is one trace
STEPS_AT_ONCE = 28  # time steps that are compiled as one piece, where the whole would take too long


class Engine(Protocol):
    """TensorFlow, JAX or PyTorch under Keras, on one device. `jit`: through its compiler or not."""

    name: str
    use_cudnn: bool | str  # what Keras' layers are told: "auto", or False on a CPU next to a GPU
    hoist: bool  # whether `scan` is to find the inputs of all time steps projected in one product

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

    def piece(self, function: SequenceFunction, jit: bool) -> SequenceFunction:
        """A part of a forward pass, as an engine needs it that compiles parts and not the whole."""

    def compile(self, function: Callable[..., Any], jit: bool, *, loose: bool = False) -> Callable[..., Any]:
        """The function as this engine runs it. `loose`: one trace is to serve all lengths of the first
        two axes of its last argument, as far as there are traces."""

    def value_and_gradients(self, loss: Loss) -> Callable[..., tuple[Tensor, list[Tensor], list[Tensor]]]:
        """(weights, …) -> (loss, its gradient by every weight, states), to be used inside what is
        compiled; the gradient by what the loss does not depend on is zeros."""

    def window(self, update: Update, jit: bool) -> Window:
        """Many updates in one call."""

    def repeat(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """(x, count, *more) -> x after `count` times x = function(x, *more), in one call."""

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


def windowed(run: Callable[..., tuple[Carried, Any]], put: Callable[[np.ndarray], Tensor]) -> Window:
    """Any number of updates, of `run`, which takes a plan of CAPACITY rows and how many of them count;
    losses are fetched once, after the last call."""

    def window(
        carried: Carried, data: Sequence[Tensor], plan: Sequence[np.ndarray]
    ) -> tuple[Carried, np.ndarray]:
        parts = []
        for start in range(0, len(plan[0]), CAPACITY):
            cut = [table[start : start + CAPACITY] for table in plan]
            full = [put(np.resize(table, (CAPACITY, *table.shape[1:]))) for table in cut]
            carried, losses = run(carried, data, full, len(cut[0]))
            parts.append((losses, len(cut[0])))
        return carried, np.concatenate([np.asarray(losses, np.float64)[:count] for losses, count in parts])

    return window


def each_in_turn(
    update: Update, carried: Carried, data: Sequence[Tensor], plan: Sequence[Tensor], count: int
) -> tuple[Carried, list[Tensor]]:
    """The first `count` updates of a plan, as a loop in Python."""
    losses = []
    for k in range(count):
        carried, loss = update(carried, data, [table[k] for table in plan])
        losses.append(loss)
    return carried, losses
