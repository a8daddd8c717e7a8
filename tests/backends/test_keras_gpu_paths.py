"""What Keras' engines do on a GPU alone, on the CPU: programs of a fixed number of updates and products,
captured updates, weights stored by columns. Each engine in a process of its own: Keras starts on one only."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.backends.base import Setup, Weights
from harness.backends.keras import backend
from harness.backends.keras.engines import call_sizes, calls_of_static_size
from harness.measure.clock import timed
from harness.model.optimizer import OptimizerSpec
from harness.runner.parity import training
from tests.support.parity import CASES as CASES_OF_ALL_CELLS
from tests.support.parity import Case, train

if TYPE_CHECKING:
    from harness.backends.keras.session import KerasSession

Trained = tuple[np.ndarray, Weights]

HOUSE = Path(__file__).parents[2]
FROM_THE_HOST = {"lift_fresh", "_local_scalar_dense", "nonzero", "_pin_memory", "_unique2", "is_nonzero"}
LSTM, GRU = Case("lstm", layers=2, bidirectional=True), Case("gru", steps=8, truncate=4)
CASES = {"jax": {"fused": LSTM, "compiled": GRU}, "torch": {"fused": LSTM, "loop": GRU}}


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, [1, 1]), (32, [32]), (70, [32, 32, *[1] * 6])])
def test_a_count_is_made_of_two_sizes(count: int, expected: list[int]) -> None:
    assert call_sizes(count, 32) == expected


def test_both_programs_are_compiled_before_any_is_timed() -> None:
    sizes = []

    def run(carry: Any, data: Sequence[Any], plan: Sequence[np.ndarray]) -> tuple[Any, np.ndarray]:
        sizes.append(len(plan[0]))
        return carry + len(plan[0]), plan[0][:, 0]

    loop = calls_of_static_size(run, np.asarray)
    plan = [np.arange(140).reshape(70, 2), np.zeros((70, 3))]
    carry, losses = loop(0, [np.zeros((9, 4))], [table[:3] for table in plan])
    assert (carry, losses.tolist()) == (3, [0, 2, 4])
    assert sizes == [32, 1, 1, 1, 1]  # the first two compile
    carry, losses = loop(0, [np.zeros((9, 4))], plan)
    assert (carry, losses.tolist()) == (70, list(range(0, 140, 2)))
    assert sizes[5:] == [32, 32, *[1] * 6]


@pytest.mark.long
@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_they_compute_the_same(engine: str) -> None:
    if find_spec(engine) is None:
        pytest.skip(f"the package {engine} is not installed")
    env = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.test_keras_gpu_paths", engine],
        cwd=HOUSE,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert max(found["training"].values()) < 1e-5, found
    assert found["products"] < 1e-5
    assert 2 < found["four times the products"] < 8
    assert found.get("traced again", 0) == 0
    if engine == "jax":
        for name, steps in (("fused", 32), ("compiled", 16)):
            assert found["program"][name] == [steps, pytest.approx(0, abs=1e-4), 1e-4]
            assert found["wrong program"][name][1] > 0.1
    else:
        assert found["by columns"]
        assert found["kernel"] == "PyTorch eager, CUDA graph"
        assert found["from the host"] == {}


def measure(engine: str) -> None:
    """In a child process: prints what the two ways have in common, as JSON on the last line."""
    kind = backend.start_engine(engine, threads=1)
    module = import_module(f"harness.backends.keras.engines.{engine}")
    plain = {name: opened(case, name, engine) for name, case in CASES[engine].items()}
    expected = {name: train(session) for name, session in plain.items()}
    products = product(plain["fused"], 100)

    class OnGpu(kind):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            self.static_loops = self.on_gpu = True

    module.Engine = OnGpu  # type: ignore[attr-defined]
    if engine == "torch":
        capture_by_hand(module)
    found: dict[str, Any] = {"training": {}}
    for name, case in CASES[engine].items():
        session = opened(case, name, engine)
        found["training"][name] = largest_difference(train(session), expected[name])
        session.put_weights(case.weights())  # the same program again, from other memory
        found["training"][f"{name} again"] = largest_difference(train(session), expected[name])
    if engine == "jax":
        found["traced again"] = traced_again()
        found["program"] = program()
        repeat_first_update(module)
        found["wrong program"] = program()
    else:
        stored = [tensor for tensor in (*session._params, *session._slots) if tensor.ndim == 2]
        found["by columns"] = all(tensor.t().is_contiguous() for tensor in stored)
        found["kernel"] = session.kernel
        found["from the host"] = from_the_host(engine)
    found["products"] = float(np.abs(product(session, 100) - products).max())
    session.matmul(64, 256, 512, 64)
    seconds = [
        min(timed(session, partial(session.matmul, 64, 256, 512, count))[1] for _ in range(7))
        for count in (64, 256)
    ]
    found["four times the products"] = seconds[1] / seconds[0]
    sys.stdout.write("\n" + json.dumps(found))


def opened(case: Case, implementation: str, engine: str) -> "KerasSession":
    setup = Setup(case.model, OptimizerSpec(clip_norm=0.5), implementation, engine, truncate=case.truncate)
    session: Any = backend.open_session(setup)
    session.put_weights(case.weights())
    session.load("train", *case.data())
    return session


def product(session: "KerasSession", count: int) -> np.ndarray:
    session.matmul(8, 5, 7, count)
    session.synchronize()
    return np.array(session._pending[0])


def traced_again() -> int:
    """How often the cell's step is traced for other numbers of updates than the first."""
    cell: Any = import_module("harness.backends.keras.cells.gru")
    step, traced = cell.step, []
    cell.step = lambda *a, **options: traced.append(1) or step(*a, **options)
    session = opened(GRU, "compiled", "jax")
    session.train(np.zeros((1, 6), np.int64), np.full(1, 0.01))
    first = len(traced)
    assert first
    for count in (1, 2, 31, 32, 70):
        session.train(np.zeros((count, 6), np.int64), np.full(count, 0.01))
    return len(traced) - first


def program() -> dict[str, Any]:
    """What the proof finds of the steps that one program makes, against programs of one step."""
    found = {}
    for name, case in CASES["jax"].items():
        session = opened(case, name, "jax")
        rows = np.random.default_rng(7).integers(0, 24, (2 * session.steps_per_launch + 1, 6))
        batches = training.Batches(*case.data(), rows, rows, np.linspace(0.02, 0.01, len(rows)))
        weights = {key: w.astype(np.float32) for key, w in case.weights().items()}
        parity = training.measure_programs(session, session._setup, weights, batches)
        found[name] = session.steps_per_launch, parity.largest, parity.limit
    return found


def repeat_first_update(module: Any) -> None:
    """Every program makes its first update over and over."""
    plain = module.calls_of_static_size

    def wrong(run: Callable[..., Any], put: Callable[..., Any]) -> Any:
        return plain(
            lambda carry, data, plan: run(carry, data, [t[np.zeros(len(t), int)] for t in plan]), put
        )

    module.calls_of_static_size = wrong


def largest_difference(found: Trained, expected: Trained) -> float:
    differences = [np.abs(found[1][key] - w).max() for key, w in expected[1].items()]
    return float(max(np.abs(found[0] - expected[0]).max(), *differences))


def capture_by_hand(module: Any) -> None:
    """PyTorch's graphs without a GPU: what would be captured is done, and done again for every replay."""
    import torch

    def captured(work: Callable[[], object], device: object) -> Callable[[], object]:
        for _ in range(module.WARM_UP):
            work()
        return work

    module.captured = captured
    module.pinned = torch.tensor


def from_the_host(engine: str) -> dict[str, list[str]]:
    """The operators of an update that read from the host or make it wait, which no graph may have: of every
    cell and implementation that has one. The time loop in Keras counts its steps in int32, on any host."""
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Created(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
                seen.add("lift_fresh")
            return func(*args, **kwargs)

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            counts = args and getattr(args[0], "shape", None) == () and args[0].dtype in COUNTER
            if not counts:
                seen.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    COUNTER = (torch.int32, torch.bool)

    found = {}
    for case in {case.cell: case for case in CASES_OF_ALL_CELLS}.values():
        for implementation in backend.implementations(case.cell):
            if implementation != "compiled":
                session = opened(case, implementation, engine)
                session.train(np.zeros((1, 6), np.int64), np.full(1, 0.01))
                (update,) = session._functions.train_loop.updates.values()
                seen: set[str] = set()
                with session._engine.scope(), torch.no_grad(), Created(), Watch():
                    update.replay()
                if seen & FROM_THE_HOST:
                    found[f"{case.cell} {implementation}"] = sorted(seen & FROM_THE_HOST)
    return found


if __name__ == "__main__":
    measure(sys.argv[1])
