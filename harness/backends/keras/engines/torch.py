"""Keras on PyTorch: eager, or its time loop through `torch.compile`."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import torch

from harness.backends.keras import engines
from harness.backends.keras.engines import (
    STEPS_PER_GRAPH,
    CellStep,
    Loss,
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

    @staticmethod
    def devices() -> dict[str, str]:
        count = torch.cuda.device_count()
        return {"cpu": cpu_name()} | {f"cuda:{n}": torch.cuda.get_device_name(n) for n in range(count)}

    def scope(self) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = keras.device(str(self.device))
        return scope

    def put(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self.device)

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

    def train_loop(self, update: Update, jit: bool) -> TrainLoop:
        @torch.no_grad()
        def train_loop(
            carry: TrainingState, data: Sequence[Tensor], plan: Sequence[np.ndarray]
        ) -> tuple[TrainingState, np.ndarray]:
            tables = [self.put(table) for table in plan]
            carry, losses = update_loop(update, carry, data, tables, len(plan[0]))
            return carry, torch.stack(losses).cpu().double().numpy()

        return train_loop

    def repeat(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def repeated(x: Tensor, count: int, *more: Tensor) -> Tensor:
            for _ in range(count):
                x = function(x, *more)
            return x

        return repeated

    def kernel(self, forward: Callable[..., Any], params: list[Tensor], x: Tensor, jit: bool) -> str:
        if jit:
            return "PyTorch Inductor"
        with torch.enable_grad():
            result = forward([w.detach().requires_grad_() for w in params], x)
        cudnn = any("Cudnn" in name for name in _backward_names(result))
        return "PyTorch eager, cuDNN" if cudnn else "PyTorch eager"

    def synchronize(self, tensors: Sequence[Tensor]) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def device_peak_memory_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def close(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


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
