"""Keras on TensorFlow: traced graphs, with or without XLA."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from harness.backends.keras import engines
from harness.backends.keras.engines import (
    REPEATS_PER_CALL,
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
    graph_lengths,
)
from harness.errors import Unavailable
from harness.measure.machine import cpu_name


class Engine(engines.Engine):
    """TensorFlow on one device."""

    name = "tensorflow"

    def __init__(self, device: str, *, threads: int, precision: str) -> None:
        gpus = tf.config.list_physical_devices("GPU")
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            # a process' pools are made once; as many operations at a time as cores is TensorFlow's default
            try:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(threads)
                for gpu in gpus:
                    tf.config.experimental.set_memory_growth(gpu, True)
            except RuntimeError as error:
                raise Unavailable(
                    f"threads={threads}: TensorFlow has already started here; {error}"
                ) from error
        tf.config.experimental.enable_tensor_float_32_execution(False)
        self.gpu = None if device == "cpu" else int(device.removeprefix("cuda:"))
        self.device = "cpu:0" if self.gpu is None else f"gpu:{self.gpu}"
        self.use_cudnn: bool | str = False if gpus and self.gpu is None else "auto"
        self.hoist = self.gpu is not None  # a CPU's caches hold what a step projects, not what all do

    @staticmethod
    def devices() -> dict[str, str]:
        devices = {"cpu": cpu_name()}
        if tf.test.is_built_with_cuda():
            for index, gpu in enumerate(tf.config.list_physical_devices("GPU")):
                details = tf.config.experimental.get_device_details(gpu)
                devices[f"cuda:{index}"] = details.get("device_name", gpu.name)
        return devices

    def scope(self) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = keras.device(self.device)
        return scope

    def put(self, array: np.ndarray) -> Tensor:
        return tf.constant(array)

    def scan(self, jit: bool) -> Scan:
        def scan(
            step: CellStep, xs: Tensor, state: State, params: Sequence[Tensor], *, reverse: bool
        ) -> tuple[Tensor, State]:
            # under XLA the gradient of one read of xs is as large as xs: long sequences go in cuts
            cuts = tf.split(xs, graph_lengths(xs.shape[0])) if jit else [xs]
            parts = []
            for cut in reversed(cuts) if reverse else cuts:
                outputs, state = _while(step, cut, state, params, reverse=reverse)
                parts.append(outputs)
            return tf.concat(parts[::-1] if reverse else parts, axis=0), state

        return scan

    def compile(
        self, function: Callable[..., Any], jit: bool, *, any_length: bool = False
    ) -> Callable[..., Any]:
        compiled: Callable[..., Any] = tf.function(function, jit_compile=jit, autograph=False)
        return _any_length(compiled) if any_length and not jit else compiled

    def value_and_gradients(self, loss: Loss) -> Callable[..., tuple[Tensor, list[Tensor], list[Tensor]]]:
        def value_and_gradients(
            params: list[Tensor], *arguments: Any
        ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(params)
                value, states = loss(params, *arguments)
            return value, tape.gradient(value, params, unconnected_gradients="zero"), states

        return value_and_gradients

    def train_loop(self, update: Update, jit: bool, *, dropping: bool) -> TrainLoop:
        def run(
            carry: TrainingState, data: Sequence[Tensor], plan: Sequence[Tensor], count: Tensor
        ) -> tuple[TrainingState, Tensor]:
            def body(k: Tensor, carry: TrainingState, losses: Tensor) -> tuple[Tensor, TrainingState, Tensor]:
                carry, loss = update(carry, data, [table[k] for table in plan])
                return k + 1, carry, tf.tensor_scatter_nd_update(losses, [[k]], [loss])

            losses = tf.zeros(plan[0].shape[0], carry[0][0].dtype)
            start = (0, carry, losses)
            return tf.while_loop(lambda k, *_: k < count, body, start, parallel_iterations=1)[1:]

        compiled = self.compile(run, jit)
        return calls_of_fixed_size(
            lambda carry, data, plan, count: compiled(carry, data, plan, tf.constant(count)), self.put
        )

    def repeat(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def unrolled(x: Tensor, count: int, *operands: Tensor) -> Tensor:
            for operand in operands * count:
                x = function(x, operand)
            return x

        def looped(x: Tensor, count: Tensor, *operands: Tensor) -> Tensor:
            def body(k: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
                return k + 1, unrolled(x, 1, *operands)

            return tf.while_loop(lambda k, _: k < count, body, (0, x), parallel_iterations=1)[1]

        if self.gpu is None:
            compiled = self.compile(looped, False)
            return lambda x, count, *operands: compiled(x, tf.constant(count), *operands)
        program = self.compile(unrolled, False)

        def in_calls(x: Tensor, count: int, *operands: Tensor) -> Tensor:
            for size in call_sizes(count, REPEATS_PER_CALL):
                x = program(x, size, *operands)
            return x

        return in_calls

    def kernel(self, forward: Callable[..., Any], params: list[Tensor], x: Tensor, jit: bool) -> str:
        if jit:
            return "TensorFlow XLA"
        graph = tf.function(forward, autograph=False).get_concrete_function(params, x).graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        cudnn = any(node.op.startswith("CudnnRNN") for node in nodes)
        return "TensorFlow graph, cuDNN" if cudnn else "TensorFlow graph"

    def synchronize(self, tensors: Sequence[Tensor]) -> None:
        tf.test.experimental.sync_devices()

    def device_peak_memory_bytes(self) -> int | None:
        if self.gpu is None:
            return None
        return int(tf.config.experimental.get_memory_info(f"GPU:{self.gpu}")["peak"])


def _any_length(function: Any) -> Callable[..., Any]:
    """Traces a function at its first call with no lengths for batch and time, which every call fits."""
    traced: list[Any] = []

    def call(params: list[Tensor], *tensors: Any) -> Any:
        if not traced:
            loose = tf.nest.map_structure(_unsized, tensors)
            traced.append(function.get_concrete_function(params, *loose))
        return function(params, *tensors)

    return call


def _unsized(tensor: Tensor) -> tf.TensorSpec:
    """Its type, with the length of the last axis alone."""
    return tf.TensorSpec([None] * (len(tensor.shape) - 1) + [tensor.shape[-1]], tensor.dtype)


def _while(
    step: CellStep, xs: Tensor, state: State, params: Sequence[Tensor], *, reverse: bool
) -> tuple[Tensor, State]:
    """The time loop as `tf.while_loop`; XLA can only go back through one whose length it knows."""
    T = xs.shape[0] or tf.shape(xs)[0]
    inputs = tf.TensorArray(xs.dtype, T, element_shape=xs.shape[1:]).unstack(xs)
    outputs = tf.TensorArray(xs.dtype, T, element_shape=state[0].shape)  # (B, H), as the first state

    def body(k: Tensor, state: State, outputs: tf.TensorArray) -> tuple[Tensor, State, tf.TensorArray]:
        t = T - 1 - k if reverse else k
        y, state = step(inputs.read(t), state, params)
        return k + 1, state, outputs.write(t, y)

    _, state, outputs = tf.while_loop(lambda k, *_: k < T, body, (0, state, outputs), maximum_iterations=T)
    return outputs.stack(), state
