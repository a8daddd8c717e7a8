"""What differs by the framework under Keras. Only the files of this folder import one.

An engine traces pure functions of lists of tensors; weights and slots go in and come out.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

Tensor = Any
Put = Callable[[np.ndarray], Tensor]
State = tuple[Tensor, ...]  # of one layer and direction, each (B, length)
TrainingState = tuple[list[Tensor], list[Tensor], list[Tensor]]  # weights, the optimiser's slots, states
Loss = Callable[..., tuple[Tensor, list[Tensor]]]  # (weights, …) -> (mean loss (), states)
Update = Callable[[TrainingState, Sequence[Tensor], Sequence[Tensor]], tuple[TrainingState, Tensor]]
"""(carry, data, one row of every table of the plan) -> (carry, loss ())"""
CellStep = Callable[[Tensor, State, Sequence[Tensor]], tuple[Tensor, State]]
"""(input of a step, projected or not, state, the cell's weights) -> (output (B, H), state)"""
Scan = Callable[..., tuple[Tensor, State]]
"""(cell step, inputs of all steps (T, B, ·), state, the cell's weights, *, reverse)
-> (outputs (T, B, H) in the order of the inputs, the last state)"""
SequenceFunction = Callable[[Tensor, State, Sequence[Tensor]], tuple[Tensor, State]]
"""(xs (T, B, I), state, the cell's weights) -> (outputs (T, B, H), the last state)"""
TrainLoop = Callable[
    [TrainingState, Sequence[Tensor], Sequence[np.ndarray]], tuple[TrainingState, np.ndarray]
]
"""(carry, data, plan: tables of S rows) -> (carry, losses (S,)) after S updates without a host
synchronisation in between"""

UPDATES_PER_CALL = 32  # of a compiled call: its shapes are fixed, so any number of updates needs one trace
REPEATS_PER_CALL = 32  # of a compiled call on a GPU, one after the other: launched together
STEPS_PER_GRAPH = 28  # time steps that are compiled together; a graph of all steps would take too long


class Engine(Protocol):
    """TensorFlow, JAX or PyTorch under Keras, on one device. `jit`: through its compiler or not."""

    name: str
    use_cudnn: bool | str  # what Keras' layers are told: "auto", or False on a CPU next to a GPU
    hoist: bool  # whether `scan` is to find the inputs of all time steps projected in one product
    updates_per_launch: int = 1  # updates that `train_loop` makes as one program, if several

    def __init__(self, device: str, *, threads: int, precision: str) -> None: ...

    @staticmethod
    def devices() -> dict[str, str]:
        """What this engine can compute on here: {"cpu": "AMD EPYC …", "cuda:0": …}."""

    def scope(self) -> AbstractContextManager[Any]:
        """Within it, tensors are made and computed on the engine's device."""

    def put(self, array: np.ndarray) -> Tensor:
        """A copy on the device."""

    def put_weight(self, array: np.ndarray) -> Tensor:
        """A copy of a weight, or of what an optimiser keeps for it, on the device."""
        return self.put(array)

    def rows(self, x: Tensor, start: int, size: int) -> Tensor:
        """Rows start … start + size - 1 of x (N, …), without compiling anything for each start."""
        return x[start : start + size]

    def scan(self, jit: bool) -> Scan | None:
        """The engine's own time loop; None where it runs one step after the other, as Python says."""

    def compile_part(self, function: SequenceFunction, jit: bool) -> SequenceFunction:
        """A part of a forward pass, as an engine needs it that compiles parts and not the whole."""
        return function

    def compile(
        self, function: Callable[..., Any], jit: bool, *, any_length: bool = False
    ) -> Callable[..., Any]:
        """The function as this engine runs it. `any_length`: one trace is to serve all lengths of the first
        two axes of its last argument, as far as there are traces."""

    def value_and_gradients(self, loss: Loss) -> Callable[..., tuple[Tensor, list[Tensor], list[Tensor]]]:
        """(weights, …) -> (loss, its gradient by every weight, states), to be used inside what is
        compiled; the gradient by what the loss does not depend on is zeros."""

    def train_loop(self, update: Update, jit: bool, *, dropping: bool) -> TrainLoop:
        """Many updates in one call; `dropping`: they draw masks of dropout."""

    def repeat(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """(x, count, *operands) -> x after `count` times x = function(x, operand) for every operand in turn.

        On a GPU it takes few calls of programs without a loop: such a product is shorter than a launch, or
        than the host's look at a loop's condition.
        """

    def kernel(self, forward: Callable[..., Any], params: list[Tensor], x: Tensor, jit: bool) -> str:
        """The path that computes `forward(params, x)`."""

    def synchronize(self, tensors: Sequence[Tensor]) -> None:
        """Returns when the device has nothing left to do for these tensors."""

    def device_peak_memory_bytes(self) -> int | None: ...

    def close(self) -> None:
        """Gives back what can be; some frameworks keep their pools and memory until the process ends."""


def environment(engine: str, threads: int) -> dict[str, str]:
    """What has to be set before Keras and its engine are imported.

    XLA's CPU pool reads its size from NPROC when it starts; GPU memory is not taken in advance.
    """
    variables = {"KERAS_BACKEND": engine}
    if engine == "jax":
        variables |= {"NPROC": str(threads), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return variables


def graph_lengths(steps: int) -> list[int]:
    """T as a sum of STEPS_PER_GRAPH and a rest."""
    full, rest = divmod(steps, STEPS_PER_GRAPH)
    return [STEPS_PER_GRAPH] * full + [rest] * (rest > 0)


def call_sizes(count: int, full: int) -> list[int]:
    """A count as calls of a program for `full` and of one for a single one."""
    return [full] * (count // full) + [1] * (count % full)


def calls_of_static_size(run: Callable[..., tuple[TrainingState, Any]], put: Put) -> TrainLoop:
    """Any number of updates by `run`, which makes as many as its plan has rows: UPDATES_PER_CALL or one. The
    losses are fetched once, after the last call.

    Both programs are compiled when shapes are met first, by a call whose results are dropped, so that no
    later number of updates waits for a compiler.
    """
    compiled = set()

    def train_loop(
        carry: TrainingState, data: Sequence[Tensor], plan: Sequence[np.ndarray]
    ) -> tuple[TrainingState, np.ndarray]:
        shapes = (*(tensor.shape for tensor in data), *(table.shape[1:] for table in plan))
        if shapes not in compiled:
            for size in (UPDATES_PER_CALL, 1):
                run(carry, data, [put(np.resize(table, (size, *table.shape[1:]))) for table in plan])
            compiled.add(shapes)
        parts, first = [], 0
        for size in call_sizes(len(plan[0]), UPDATES_PER_CALL):
            carry, losses = run(carry, data, [put(table[first : first + size]) for table in plan])
            parts.append(losses)
            first += size
        return carry, np.concatenate([np.asarray(losses, np.float64) for losses in parts])

    return train_loop


def calls_of_fixed_size(run: Callable[..., tuple[TrainingState, Any]], put: Put) -> TrainLoop:
    """Any number of updates by `run`, which takes a plan of UPDATES_PER_CALL rows and how many of them to
    make. The losses are fetched once, after the last call."""

    def train_loop(
        carry: TrainingState, data: Sequence[Tensor], plan: Sequence[np.ndarray]
    ) -> tuple[TrainingState, np.ndarray]:
        parts = []
        for start in range(0, len(plan[0]), UPDATES_PER_CALL):
            cut = [table[start : start + UPDATES_PER_CALL] for table in plan]
            full = [put(np.resize(table, (UPDATES_PER_CALL, *table.shape[1:]))) for table in cut]
            carry, losses = run(carry, data, full, len(cut[0]))
            parts.append((losses, len(cut[0])))
        return carry, np.concatenate([np.asarray(losses, np.float64)[:count] for losses, count in parts])

    return train_loop


def update_loop(
    update: Update, carry: TrainingState, data: Sequence[Tensor], plan: Sequence[Tensor], count: int
) -> tuple[TrainingState, list[Tensor]]:
    """The first `count` updates of a plan, as a loop in Python."""
    losses = []
    for k in range(count):
        carry, loss = update(carry, data, [table[k] for table in plan])
        losses.append(loss)
    return carry, losses
