"""Keras on JAX: `jax.jit` with `lax.scan`, or one operation after the other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from harness.backends.keras.engines import CellStep, Loss, Scan, Tensor, Update, Window, losses, pieces
from harness.environment import cpu_name
from harness.errors import Unavailable

_started: list[int] = []  # threads of XLA's CPU pool, which is made once in a process


class Engine:
    """See `harness.backends.keras.engines.Engine`."""

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

    @staticmethod
    def devices() -> dict[str, str]:
        found = {"cpu": cpu_name()}
        if jax.default_backend() == "gpu":
            found |= {f"cuda:{index}": gpu.device_kind for index, gpu in enumerate(jax.devices("gpu"))}
        return found

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
            step: CellStep, xs: Tensor, state: tuple[Tensor, ...], params: Sequence[Tensor], *, reverse: bool
        ) -> tuple[Tensor, tuple[Tensor, ...]]:
            def body(state: tuple[Tensor, ...], x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
                state = step(x, state, params)
                return state, state[0]

            state, outputs = lax.scan(body, state, xs, reverse=reverse)
            return outputs, state

        return scan if jit else None

    def compile(self, function: Callable[..., Any], jit: bool) -> Callable[..., Any]:
        return jax.jit(function) if jit else function

    def value_and_gradients(self, loss: Loss) -> Callable[..., tuple[Tensor, list[Tensor]]]:
        found: Callable[..., tuple[Tensor, list[Tensor]]] = jax.value_and_grad(loss)
        return found

    def window(self, update: Update, jit: bool) -> Window:
        def run(
            params: list[Tensor],
            slots: list[Tensor],
            x: Tensor,
            y: Tensor,
            batches: Tensor,
            scales: Tensor,
            count: Tensor | int,
        ) -> Any:
            def body(k: Tensor | int, carried: Any) -> tuple[list[Tensor], list[Tensor], Tensor]:
                params, slots, found = carried
                params, slots, loss = update(params, slots, x, y, batches[k], scales[k])
                return params, slots, found.at[k].set(loss)

            carried = params, slots, jnp.zeros_like(scales[:, 0])
            if jit:
                return lax.fori_loop(0, count, body, carried)
            for k in range(int(count)):
                carried = body(k, carried)
            return carried

        compiled = self.compile(run, jit)

        def window(
            params: list[Tensor],
            slots: list[Tensor],
            x: Tensor,
            y: Tensor,
            batches: np.ndarray,
            scales: np.ndarray,
        ) -> tuple[list[Tensor], list[Tensor], np.ndarray]:
            parts = []
            for rows, scale, count in pieces(batches, scales):
                params, slots, found = compiled(params, slots, x, y, self.put(rows), self.put(scale), count)
                parts.append((found, count))
            return params, slots, losses(parts)

        return window

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

    def close(self) -> None:
        """XLA keeps its pool until the process ends."""
