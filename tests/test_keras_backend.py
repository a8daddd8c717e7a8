"""The Keras backend: what is special to it. That it computes the same is in `test_parity.py`, for
TensorFlow; here JAX and PyTorch are held to the reference too, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from harness.backends.base import Setup
from harness.backends.keras import backend
from harness.errors import Unavailable
from harness.optim import OptimizerSpec
from tests.parity import Case, compare, distance, open_session, optimizers, train, worst

CELLS = ("rnn", "lstm", "gru")
HOUSE = Path(__file__).parent.parent


def reference(case: Case, optimizer: OptimizerSpec):
    return open_session("numpy", case, "loop", optimizer)


def opened(case: Case, implementation: str = "fused", optimizer: OptimizerSpec | None = None):
    return open_session("keras", case, implementation, optimizer or OptimizerSpec("adam"))


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=HOUSE,
        env=env | {"TF_CPP_MIN_LOG_LEVEL": "2"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_what_there_is_can_be_told_without_keras() -> None:
    code = (
        "import sys; from harness.backends.keras import backend; "
        "print(backend.implementations('lstm'), backend.implementations('nothing')); "
        "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "('fused', 'loop', 'compiled') ()"


def test_a_cell_without_a_stock_layer_has_no_fused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "minimal.py").write_text("def step(a, state, params, options): ...\n")
    monkeypatch.setattr(backend, "CELLS", tmp_path)
    assert backend.implementations("minimal") == ("loop", "compiled")
    setup = Setup(replace(Case("lstm").model, cell="minimal"), OptimizerSpec(), implementation="fused")
    with pytest.raises(Unavailable, match="keras has no fused minimal; it has: loop, compiled"):
        backend.open_session(setup)
    with pytest.raises(Unavailable, match="keras has no other"):
        backend.open_session(replace(setup, model=replace(setup.model, cell="other")))


def test_refusals_name_the_key_and_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(Case("lstm").model, OptimizerSpec(), precision="float64")
    backend.open_session(setup).close()
    with pytest.raises(Unavailable, match=r"device=cuda:77: .*; available: cpu"):
        backend.open_session(replace(setup, device="cuda:77"))
    with pytest.raises(Unavailable, match=r"threads=3: TensorFlow has already started"):
        backend.open_session(replace(setup, threads=3))
    with pytest.raises(Unavailable, match="keras has no engine theano; it has: tensorflow, jax, torch"):
        backend.open_session(replace(setup, engine="theano"))
    with monkeypatch.context() as patch:
        patch.setattr(backend, "find_spec", lambda name: None if name == "jax" else find_spec(name))
        with pytest.raises(Unavailable, match=r"jax is not installed; .*pip install .*jax"):
            backend.open_session(replace(setup, engine="jax"))
        patch.setattr(backend, "find_spec", lambda name: object())
        with pytest.raises(Unavailable, match=r"backend.engine=jax: .* already started on tensorflow"):
            backend.open_session(replace(setup, engine="jax"))


def test_a_broken_engine_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise OSError('a library is missing')\n")
    code = """
from harness.backends.base import Setup
from harness.backends.keras import backend
from harness.errors import Unavailable
from harness.optim import OptimizerSpec
from tests.parity import Case
try:
    backend.open_session(Setup(Case("lstm").model, OptimizerSpec()))
except Unavailable as error:
    print(error)
"""
    done = python("-c", code, PYTHONPATH=str(tmp_path))
    assert done.stdout.startswith(
        "keras on tensorflow cannot be imported here (OSError: a library is missing)"
    )
    assert done.stdout.strip().endswith("pip install -c constraints.txt keras tensorflow")


@pytest.mark.parametrize(
    ("implementation", "kernel"),
    [("fused", "TensorFlow graph"), ("loop", "TensorFlow graph"), ("compiled", "TensorFlow XLA")],
)
def test_the_kernel_says_what_ran_on_a_cpu(implementation: str, kernel: str) -> None:
    assert opened(Case("lstm"), implementation).kernel == kernel


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda spec: spec.name)
def test_redundant_biases_stay_exactly_zero(optimizer: OptimizerSpec) -> None:
    session = opened(Case("gru", layers=2, bidirectional=True), "fused", optimizer)
    start = [np.array(p) for p in session._params if p.shape == (2, 15)]
    train(session)
    biases = [np.array(p) for p in session._params if p.shape == (2, 15)]
    assert len(biases) == 4
    for before, after in zip(start, biases, strict=True):
        np.testing.assert_array_equal(after[1, :10], np.zeros(10))  # z and r of the recurrent half
        assert np.all(after[1, 10:] != before[1, 10:])  # b_hn
        assert np.all(after[0] != before[0])


def test_training_a_redundant_bias_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case, optimizer = Case("gru"), OptimizerSpec("sgd", clip_norm=0.5)
    _, expected = train(reference(case, optimizer))
    assert worst(train(opened(case, "fused", optimizer))[1], expected)[0] < 1e-9
    layout = import_module("harness.backends.keras.layout")
    monkeypatch.setattr(layout, "trained", lambda model, cell: [None] * 5)
    assert worst(train(opened(case, "fused", optimizer))[1], expected)[0] > 1e-6


@pytest.mark.parametrize("direction", ["pack", "unpack"])
@pytest.mark.parametrize(("cell", "gates"), [("lstm", "fg"), ("lstm", "io"), ("gru", "rz"), ("gru", "zn")])
def test_swapped_gates_are_found(
    cell: str, gates: str, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(f"harness.backends.keras.cells.{cell}")
    right: Callable = getattr(module, direction)
    a, b = gates

    def swapped(values):
        if direction == "unpack":
            return exchange(right(values))
        return right(exchange(values))

    def exchange(weights):
        names = {f"{kind}{x}": f"{kind}{y}" for kind in ("W_x", "W_h", "b_") for x, y in ((a, b), (b, a))}
        return {name: weights[names.get(name, name)] for name in weights}

    monkeypatch.setattr(module, direction, swapped)
    case = Case(cell)
    found = compare(opened(case), reference(case, OptimizerSpec()), case)
    assert found["gradients"] > 1e-3
    assert direction == "unpack" or found["logits"] > 1e-3


@pytest.mark.parametrize("implementation", ["fused", "loop", "compiled"])
def test_predict_takes_any_batch_size(implementation: str) -> None:
    case = Case("lstm", bidirectional=True)
    session = opened(case, implementation)
    x, _ = case.data()
    expected = session.outputs(x).logits
    for ranges in ([(0, 24)], [(0, 1)], [(23, 24)], [(0, 7), (7, 14), (14, 21), (21, 24)], [(0, 3), (3, 20)]):
        found = session.predict("train", ranges)
        np.testing.assert_allclose(found, expected[ranges[0][0] : ranges[-1][1]], rtol=1e-12)


@pytest.mark.parametrize("implementation", ["loop", "compiled"])
def test_nothing_is_traced_twice(implementation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("harness.backends.keras.cells.gru")
    step, traced = module.step, []

    def counting(*arguments, **options):
        traced.append(1)
        return step(*arguments, **options)

    monkeypatch.setattr(module, "step", counting)
    case = Case("gru")
    session = opened(case, implementation)
    batches = np.random.default_rng(0).integers(0, 24, (70, 6))
    session.train(batches[:1], np.full(1, 0.1))
    session.predict("train", [(0, 6)])
    count = len(traced)
    session.put_weights(case.weights())
    for steps in (2, 31, 70):
        session.train(batches[:steps], np.full(steps, 0.1))
    session.predict("train", [(0, 6), (6, 12), (12, 17)])
    assert len(traced) == count


def test_put_weights_starts_anew_and_takes_a_copy() -> None:
    case = Case("lstm")
    session = opened(case, "fused", OptimizerSpec("adam"))
    first = train(session)
    again = case.weights()
    session.put_weights(again)
    for array in again.values():
        array[...] = np.nan
    second = train(session)
    np.testing.assert_array_equal(first[0], second[0])
    for name, array in first[1].items():
        np.testing.assert_array_equal(array, second[1][name])
        assert array.dtype == np.float64


@pytest.mark.parametrize("implementation", ["fused", "loop", "compiled"])
def test_long_sequences(implementation: str) -> None:
    case = Case("gru", steps=784)
    session = opened(case, implementation)
    x, y = case.data()
    found = session.gradients(x[:3], y[:3])
    expected = reference(case, OptimizerSpec()).gradients(x[:3], y[:3])
    assert worst(found.gradients, expected.gradients)[0] < 1e-7


def test_products_for_the_peak() -> None:
    session = opened(Case("rnn"))
    session.matmul(64, 5)
    session.synchronize()
    assert np.isfinite(np.array(session._pending[0])).all()
    assert session.device_peak_memory_bytes() is None
    assert session.device == "cpu"


@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_other_engines_compute_the_same(engine: str, tmp_path: Path) -> None:
    if find_spec(engine) is None:
        pytest.skip(f"the package {engine} is not installed")
    (tmp_path / "keras.json").write_text('{"floatx": "float16", "backend": "tensorflow"}')
    done = python("-m", "tests.test_keras_backend", engine, KERAS_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["refusal"] == (
        f"precision=float64: Keras on {engine} computes in float32 instead; "
        "use backend.engine=tensorflow or precision=float32"
    )
    assert found["float32"] < 1e-5
    for square, (kernel, far) in found["squares"].items():
        assert far < (1e-7 if "compiled" in square else 1e-9), (square, kernel, far)
    assert {cell for cell in CELLS for square in found["squares"] if cell in square} == set(CELLS)
    kernels = {square.split()[1]: kernel for square, (kernel, _) in found["squares"].items()}
    if engine == "jax":
        assert kernels == {
            "fused": "JAX XLA",
            "loop": "JAX, one operation at a time",
            "compiled": "JAX XLA",
        }
    else:
        assert kernels.pop("compiled", "PyTorch Inductor") == "PyTorch Inductor"
        assert kernels == {"fused": "PyTorch eager", "loop": "PyTorch eager"}


def other_engine(engine: str) -> None:
    """In a child process: prints distances from the reference, as JSON on the last line."""
    setup = Setup(Case("lstm").model, OptimizerSpec(), engine=engine, precision="float64")
    try:
        backend.open_session(setup)
        refusal = ""
    except Unavailable as error:
        refusal = str(error)
    single = backend.open_session(replace(setup, precision="float32"))
    single.put_weights(Case("lstm").weights())
    x, y = Case("lstm").data()
    expected = reference(Case("lstm"), OptimizerSpec()).gradients(x, y)
    gradients = single.gradients(x, y).gradients
    assert all(array.dtype == np.float32 for array in gradients.values())
    float32 = worst(gradients, expected.gradients)[0]

    # Keras lets 64-bit types through on TensorFlow alone; without this table it does everywhere, and
    # the same code can be held to the reference in float64
    import_module("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE.clear()
    squares = {}
    for cell in CELLS:
        for implementation in backend.implementations(cell):
            slow = (engine, implementation) == ("torch", "compiled")  # each direction is compiled anew
            cases = [Case(cell, bidirectional=not slow, steps=5)]
            if implementation == "fused":
                cases.append(Case(cell, layers=2, bidirectional=True, readout="mean", steps=5))
            for case in cases:
                try:
                    far, kernel = distances(case, implementation, engine)
                except Unavailable as error:
                    sys.stderr.write(f"{error}\n")
                    continue
                squares[f"{cell} {implementation} {case.layers}"] = kernel, far
    sys.stdout.write("\n" + json.dumps({"refusal": refusal, "float32": float32, "squares": squares}))


def distances(case: Case, implementation: str, engine: str) -> tuple[float, str]:
    """The worst of losses, gradients, outputs and 20 steps of Adam; and the kernel."""
    optimizer = OptimizerSpec("adam", clip_norm=0.5)
    setup = Setup(case.model, optimizer, implementation, engine, precision="float64")
    session = backend.open_session(setup)
    weights = case.weights()
    session.put_weights(weights)
    for array in weights.values():
        array[...] = np.nan  # the session has a copy
    session.load("train", *case.data())
    expected = reference(case, optimizer)
    x, y = (array[:6] for array in case.data())
    a, b = session.gradients(x, y), expected.gradients(x, y)
    far = [abs(a.loss - b.loss) / b.loss, worst(a.gradients, b.gradients)[0]]
    far += [distance(p, q) for p, q in zip(session.outputs(x), expected.outputs(x), strict=True)]
    (losses, trained), (expected_losses, expected_weights) = train(session), train(expected)
    far += [distance(losses, expected_losses), worst(trained, expected_weights)[0]]
    kernel = session.kernel
    session.close()
    return max(far), kernel


if __name__ == "__main__":
    other_engine(sys.argv[1])
