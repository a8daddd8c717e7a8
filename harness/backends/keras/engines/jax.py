"""Keras on JAX: `jax.jit` with `lax.scan`, or one operation after the other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from harness.backends.keras import engines
from harness.backends.keras.engines import (
    REPEATS_PER_CALL,
    UPDATES_PER_CALL,
    CellStep,
    Loss,
    Scan,
    State,
    Tensor,
    TrainingState,
    TrainLoop,
    Update,
    call_sizes,
    calls_of_fixed_size,
    calls_of_static_size,
    update_loop,
)
from harness.errors import Unavailable
from harness.measure.machine import cpu_name

_started: list[int] = []  # threads of XLA's CPU pool, which is made once in a process


class Engine(engines.Engine):
    """JAX on one device."""

    name = "jax"

    def __init__(self, device: str, *, threads: int, precision: str) -> None:
        if _started and _started != [threads]:
            raise Unavailable(f"threads={threads}: JAX has already started here with {_started[0]}")
        _started[:] = [threads]
        self.precision = precision
        platform, _, index = device.replace("cuda", "gpu").partition(":")
        self.jax_device = jax.devices(platform)[int(index or 0)]
        self.on_gpu = platform == "gpu"
        self.use_cudnn: bool | str = "auto" if self.on_gpu or jax.default_backend() != "gpu" else False
        self.hoist = self.on_gpu  # a CPU's caches hold what a step projects, not what all do
        # a GPU's host reads the condition of a loop of unknown length after each iteration
        self.static_loops = self.on_gpu

    @staticmethod
    def devices() -> dict[str, str]:
        devices = {"cpu": cpu_name()}
        if jax.default_backend() == "gpu":
            devices |= {f"cuda:{index}": gpu.device_kind for index, gpu in enumerate(jax.devices("gpu"))}
        return devices

    @contextmanager
    def scope(self) -> Iterator[None]:
        jax.config.update("jax_enable_x64", self.precision == "float64")
        with jax.default_device(self.jax_device), jax.default_matmul_precision("highest"):
            yield

    def put(self, array: np.ndarray) -> Tensor:
        if array.dtype == np.int64:  # indices and labels: JAX has no 64-bit integers beside float32
            array = array.astype(np.int32)
        return jnp.array(array)

    def rows(self, x: Tensor, start: int, size: int) -> Tensor:
        return lax.dynamic_slice_in_dim(x, start, size)

    def scan(self, jit: bool) -> Scan | None:
        def scan(
            step: CellStep, xs: Tensor, state: State, params: Sequence[Tensor], *, reverse: bool
        ) -> tuple[Tensor, State]:
            def body(state: State, x: Tensor) -> tuple[State, Tensor]:
                # on a CPU a GRU trains 1.1 times as fast with this; steps unrolled by 4 take an LSTM
                # 1.7 times as long, and gain nothing elsewhere
                state, x = lax.optimization_barrier((state, x))
                y, state = step(x, state, params)
                return state, y

            state, outputs = lax.scan(body, state, xs, reverse=reverse)
            return outputs, state

        return scan if jit else None

    def compile(
        self, function: Callable[..., Any], jit: bool, *, any_length: bool = False
    ) -> Callable[..., Any]:
        return jax.jit(function) if jit else function

    def value_and_gradients(self, loss: Loss) -> Callable[..., tuple[Tensor, list[Tensor], list[Tensor]]]:
        with_gradients = jax.value_and_grad(loss, has_aux=True)

        def value_and_gradients(*arguments: Any) -> tuple[Tensor, list[Tensor], list[Tensor]]:
            (value, states), gradients = with_gradients(*arguments)
            return value, gradients, states

        return value_and_gradients

    def train_loop(self, update: Update, jit: bool, *, dropping: bool) -> TrainLoop:
        def run_all(
            carry: TrainingState, data: Sequence[Tensor], plan: Sequence[Tensor]
        ) -> tuple[TrainingState, Tensor]:
            carry_and_losses: tuple[TrainingState, Tensor] = lax.scan(
                lambda carry, row: update(carry, data, row), carry, plan
            )
            return carry_and_losses

        def run(
            carry: TrainingState, data: Sequence[Tensor], plan: Sequence[Tensor], count: Tensor
        ) -> tuple[TrainingState, Tensor]:
            def body(
                k: Tensor, carry_and_losses: tuple[TrainingState, Tensor]
            ) -> tuple[TrainingState, Tensor]:
                carry, losses = carry_and_losses
                carry, loss = update(carry, data, [table[k] for table in plan])
                return carry, losses.at[k].set(loss)

            losses = jnp.zeros(len(plan[0]), carry[0][0].dtype)
            carry_and_losses: tuple[TrainingState, Tensor] = lax.fori_loop(0, count, body, (carry, losses))
            return carry_and_losses

        if jit and self.static_loops:
            self.updates_per_launch = UPDATES_PER_CALL
            return calls_of_static_size(jax.jit(run_all), self.put)
        return calls_of_fixed_size(jax.jit(run) if jit else partial(update_loop, update), self.put)

    def repeat(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def unrolled(x: Tensor, count: int, *operands: Tensor) -> Tensor:
            for operand in operands * count:  # XLA may simplify no product together with the next
                x = lax.optimization_barrier(function(x, operand))
            return x

        def looped(x: Tensor, count: Tensor, *operands: Tensor) -> Tensor:
            return lax.fori_loop(0, count, lambda _, x: unrolled(x, 1, *operands), x)

        if not self.static_loops:
            return jax.jit(looped)
        program = jax.jit(unrolled, static_argnums=1)

        def in_calls(x: Tensor, count: int, *operands: Tensor) -> Tensor:
            for size in call_sizes(count, REPEATS_PER_CALL):
                x = program(x, size, *operands)
            return x

        return in_calls

    def kernel(self, forward: Callable[..., Any], params: list[Tensor], x: Tensor, jit: bool) -> str:
        path = "JAX XLA" if jit else "JAX, one operation at a time"
        program = str(jax.make_jaxpr(forward)(params, x)) if self.on_gpu else ""
        return f"{path}, cuDNN" if "rnn_fwd" in program else path

    def synchronize(self, tensors: Sequence[Tensor]) -> None:
        jax.block_until_ready(list(tensors))

    def device_peak_memory_bytes(self) -> int | None:
        if not self.on_gpu:
            return None
        return int(self.jax_device.memory_stats()["peak_bytes_in_use"])
