"""Keras on PyTorch: eager, or its time loop through `torch.compile`."""

import gc
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

import keras
import numpy as np
import torch

from harness.backends.keras import engines
from harness.backends.keras.engines import (
    REPEATS_PER_CALL,
    STEPS_PER_GRAPH,
    UPDATES_PER_CALL,
    CellStep,
    Loss,
    Put,
    Scan,
    SequenceFunction,
    State,
    Tensor,
    TrainingState,
    TrainLoop,
    Update,
    update_loop,
)
from harness.backends.keras.loop import python_loop
from harness.errors import Unavailable
from harness.measure.machine import cpu_name

WARM_UP = 3  # times that something is done before it is captured


class Engine(engines.Engine):
    """PyTorch on one device."""

    name = "torch"
    use_cudnn: bool | str = "auto"
    hoist = True  # most of a step is the overhead of its operations

    def __init__(self, device: str, *, threads: int, precision: str) -> None:
        torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.device = torch.device(device)
        self.on_gpu = self.device.type == "cuda"
        self.captures = False  # whether updates are a CUDA graph

    @staticmethod
    def devices() -> dict[str, str]:
        count = torch.cuda.device_count()
        return {"cpu": cpu_name()} | {f"cuda:{n}": torch.cuda.get_device_name(n) for n in range(count)}

    def scope(self) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = keras.device(str(self.device))
        return scope

    def put(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self.device)

    def put_weight(self, array: np.ndarray) -> Tensor:
        if not self.on_gpu or array.ndim != 2:
            return self.put(array)
        # Keras hands cuDNN the transpose: of a weight that is stored by columns it need not be copied
        return self.put(np.ascontiguousarray(array.T)).t()

    def scan(self, jit: bool) -> Scan | None:
        if not jit:
            return None
        compiled = self._inductor(python_loop)

        def scan(
            step: CellStep, xs: Tensor, state: State, params: Sequence[Tensor], *, reverse: bool
        ) -> tuple[Tensor, State]:
            cuts = torch.split(xs, STEPS_PER_GRAPH)
            parts = []
            for cut in reversed(cuts) if reverse else cuts:
                outputs, state = compiled(step, cut, state, params, reverse=reverse)
                parts.append(outputs)
            return torch.cat(parts[::-1] if reverse else parts), state

        return scan

    def compile_part(self, function: SequenceFunction, jit: bool) -> SequenceFunction:
        return self._inductor(function) if jit else function

    def _inductor(self, function: Callable[..., Any]) -> Callable[..., Any]:
        compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
        if self.device.type == "cpu" and not shutil.which(compiler):
            raise Unavailable(
                f"keras on torch has no compiled implementation without a C++ compiler ({compiler})"
            )
        # a shape that was not met before is compiled anew; nothing falls back to eager unseen
        torch._dynamo.config.recompile_limit = 1024
        torch._dynamo.config.accumulated_recompile_limit = 4096
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        compiled: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False)
        return compiled

    def compile(
        self, function: Callable[..., Any], jit: bool, *, any_length: bool = False
    ) -> Callable[..., Any]:
        """The function itself: what is compiled here are the time loop and the pieces inside it."""
        eager: Callable[..., Any] = torch.no_grad()(function)
        return eager

    def value_and_gradients(self, loss: Loss) -> Callable[..., tuple[Tensor, list[Tensor], list[Tensor]]]:
        def value_and_gradients(
            params: list[Tensor], *arguments: Any
        ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
            with torch.enable_grad():
                leaves = [w.detach().requires_grad_() for w in params]
                value, states = loss(leaves, *arguments)
                gradients = torch.autograd.grad(value, leaves, materialize_grads=True)
            return value.detach(), list(gradients), [state.detach() for state in states]

        return value_and_gradients

    def train_loop(self, update: Update, jit: bool, *, dropping: bool) -> TrainLoop:
        # the host seeds the generator of each mask
        self.captures = self.on_gpu and not dropping
        if self.captures:
            return CapturedLoop(update, self.put)

        @torch.no_grad()
        def train_loop(
            carry: TrainingState, data: Sequence[Tensor], plan: Sequence[np.ndarray]
        ) -> tuple[TrainingState, np.ndarray]:
            tables = [self.put(table) for table in plan]
            carry, losses = update_loop(update, carry, data, tables, len(plan[0]))
            return carry, torch.stack(losses).cpu().double().numpy()

        return train_loop

    def repeat(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def repeated(x: Tensor, count: int, *operands: Tensor) -> Tensor:
            for operand in operands * count:
                x = function(x, operand)
            return x

        return Replayed(repeated) if self.on_gpu else repeated

    def kernel(self, forward: Callable[..., Any], params: list[Tensor], x: Tensor, jit: bool) -> str:
        graph = ", CUDA graph" if self.captures else ""
        if jit:
            return f"PyTorch Inductor{graph}"
        with torch.enable_grad():
            result = forward([w.detach().requires_grad_() for w in params], x)
        cudnn = any("Cudnn" in name for name in _backward_names(result))
        return f"PyTorch eager{', cuDNN' if cudnn else ''}{graph}"

    def synchronize(self, tensors: Sequence[Tensor]) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def device_peak_memory_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def close(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


class CapturedLoop:
    """A train loop of updates that are captured when a batch size is met first."""

    def __init__(self, update: Update, put: Put) -> None:
        self.update, self.put = update, put
        self.data: Sequence[Tensor] = ()
        self.updates: dict[int, CapturedUpdate] = {}  # by batch size

    @torch.no_grad()
    def __call__(
        self, carry: TrainingState, data: Sequence[Tensor], plan: Sequence[np.ndarray]
    ) -> tuple[TrainingState, np.ndarray]:
        if [*map(id, self.data)] != [*map(id, data)]:
            self.data = data
            self.updates.clear()
        size = plan[0].shape[1]
        if size not in self.updates:
            rows = [self.put(np.resize(table, (UPDATES_PER_CALL, *table.shape[1:]))) for table in plan]
            self.updates[size] = CapturedUpdate(self.update, carry, data, rows)
        return self.updates[size].run(carry, plan)


class CapturedUpdate:
    """An update as a CUDA graph, which does the same work on the same memory each time: weights, slots and
    states stay in `carry`, and what changes comes from the row that is next of the tables of a plan."""

    def __init__(
        self, update: Update, carry: TrainingState, data: Sequence[Tensor], tables: Sequence[Tensor]
    ) -> None:
        params, slots, states = carry
        self.carry = [*map(torch.clone, params)], [*map(torch.clone, slots)], [*map(torch.clone, states)]
        self.tables = tables
        self.row = torch.zeros(1, dtype=torch.int64, device=params[0].device)
        self.losses = torch.zeros(UPDATES_PER_CALL, dtype=params[0].dtype, device=params[0].device)

        def step() -> None:
            changed, loss = update(self.carry, data, [table.index_select(0, self.row)[0] for table in tables])
            _copy(changed, self.carry)
            self.losses.index_copy_(0, self.row, loss.view(1))
            self.row += 1

        self.replay = captured(step, params[0].device)

    def run(self, carry: TrainingState, plan: Sequence[np.ndarray]) -> tuple[TrainingState, np.ndarray]:
        """All updates of a plan from this carry on, the host waiting once, for the losses."""
        _copy(carry, self.carry)
        losses = []
        for first in range(0, len(plan[0]), UPDATES_PER_CALL):
            count = len(plan[0][first : first + UPDATES_PER_CALL])
            for table, rows in zip(self.tables, plan, strict=True):
                table[:count].copy_(pinned(rows[first : first + count]), non_blocking=True)
            self.row.zero_()
            for _ in range(count):
                self.replay()
            losses.append(self.losses[:count].clone())
        return self.carry, torch.cat(losses).cpu().double().numpy()


def _copy(source: TrainingState, into: TrainingState) -> None:
    for new, old in zip(chain(*source), chain(*into), strict=True):
        if new is not old:
            old.copy_(new)


def pinned(array: np.ndarray) -> Tensor:
    """A copy in memory that a GPU reads by itself, without the host."""
    return torch.tensor(array).pin_memory()


class Replayed:
    """`repeated` as replays of one CUDA graph of REPEATS_PER_CALL repeats, captured when operands are met
    first; what is left over runs as it is."""

    def __init__(self, repeated: Callable[..., Tensor]) -> None:
        self.repeated = repeated
        self.operands: tuple[Tensor, ...] = ()

    def __call__(self, x: Tensor, count: int, *operands: Tensor) -> Tensor:
        times, rest = divmod(count, REPEATS_PER_CALL)
        if times:
            if [*map(id, self.operands)] != [*map(id, operands)]:
                self.x, self.operands = torch.empty_like(x), operands
                self.replay = captured(
                    lambda: self.x.copy_(self.repeated(self.x, REPEATS_PER_CALL, *operands)), x.device
                )
            x = self.x.copy_(x)
            for _ in range(times):
                self.replay()
        return self.repeated(x, rest, *operands)


def captured(work: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """The work as a CUDA graph to replay. It is done a few times before, on the stream on which it is
    captured, so that libraries have their workspaces there."""
    gc.collect()  # nothing is to be freed while the graph is captured
    stream, graph = torch.cuda.Stream(device), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            work()
    with torch.cuda.graph(graph, stream=stream):
        work()
    torch.cuda.current_stream(device).wait_stream(stream)
    return graph.replay


def _backward_names(result: Tensor) -> set[str]:
    """Names of all operations that led to a result, as autograd calls them."""
    names: set[str] = set()
    seen, waiting = set(), [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            names.add(node.name())
            waiting += [parent for parent, _ in node.next_functions]
    return names
