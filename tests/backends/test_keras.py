"""The Keras backend on TensorFlow: what is special to it. That it computes the same is in
`test_parity.py`; JAX and PyTorch are in `test_keras_engines.py`."""

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
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import Case, compare, open_session, optimizers, train, worst

HOUSE = Path(__file__).parents[2]


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


def test_what_a_cell_offers_is_what_its_file_defines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend.implementations("mingru") == ("loop", "compiled", "scan")
    assert backend.implementations("fir") == backend.implementations("gru_reset_before")
    assert backend.implementations("recursive") == ("loop", "compiled")
    for offered in ("fused_sequence", "fused_layer", "scan"):
        (tmp_path / f"{offered}.py").write_text(f"def {offered}(): ...\n")
    (tmp_path / "minimal.py").write_text("def step(xw, state, p, options): ...\n")
    monkeypatch.setattr(backend, "CELLS", tmp_path)
    for offered in ("fused_sequence", "fused_layer"):
        assert backend.implementations(offered) == ("fused",)
    assert backend.implementations("scan") == ("scan",)
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
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import Case
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


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(spec, id=spec.name, marks=[pytest.mark.long] if spec.name != "adam" else [])
        for spec in optimizers()
    ],
)
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
    packing = import_module("harness.backends.keras.packing")
    monkeypatch.setattr(packing, "trained", lambda model, cell: [None] * 5)
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
    session.features("train", [(0, 6)])
    assert len(traced) == count


@pytest.mark.parametrize("implementation", ["loop", "compiled"])
def test_on_a_cpu_no_array_holds_the_projections_of_all_steps(
    implementation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("harness.backends.keras.cells.gru")
    project, shapes = module.project, []

    def watched(xs, params):
        shapes.append(tuple(xs.shape))
        return project(xs, params)

    monkeypatch.setattr(module, "project", watched)
    train(opened(Case("gru", layers=2, bidirectional=True), implementation))
    assert set(shapes) == {(6, 4), (6, 10)}  # (B, I) and (B, D·H)


def test_one_trace_reads_any_batch_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("harness.backends.keras.cells.gru")
    step, traced = module.step, []
    monkeypatch.setattr(module, "step", lambda *a, **options: traced.append(1) or step(*a, **options))
    case = Case("gru", layers=2, initial_state="learned")
    session = opened(case, "loop")
    x, _ = case.data()
    session.outputs(x)
    count = len(traced)
    session.advance(x[:3, :1])
    session.advance(x[:3, 1:])
    session.outputs(x[:1])
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


@pytest.mark.parametrize(
    "implementation", ["fused", "loop", pytest.param("compiled", marks=pytest.mark.long)]
)
def test_long_sequences(implementation: str) -> None:
    case = Case("gru", steps=784)
    session = opened(case, implementation)
    x, y = case.data()
    found = session.gradients(x[:3], y[:3])
    expected = reference(case, OptimizerSpec()).gradients(x[:3], y[:3])
    assert worst(found.gradients, expected.gradients)[0] < 1e-7


def test_products_for_the_peak() -> None:
    session = opened(Case("rnn"))
    for shape in ((64, 64, 64), (5, 7, 11), (5, 11, 7)):
        session.matmul(*shape, 3)
        session.synchronize()
        (product,) = session._pending
        once = np.array(product)
        session.matmul(*shape, 300)
        session.synchronize()
        assert once.shape == (shape[0], shape[1])
        np.testing.assert_allclose(np.array(session._pending[0]), once, atol=1e-9)
        assert np.diff(once.ravel()).std() > 0.1  # nothing regular
    assert session.device_peak_memory_bytes() is None
    assert session.device == "cpu"


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_a_scan_is_the_loop_at_any_length(cell: str) -> None:
    loop, scan = opened(Case(cell, steps=784), "loop"), opened(Case(cell, steps=784), "scan")
    x, y = Case(cell, steps=784).data()
    for T in (1, 2, 3, 784):
        a, b = loop.outputs(x[:2, :T]), scan.outputs(x[:2, :T])
        np.testing.assert_allclose(a.sequence, b.sequence, rtol=1e-10, atol=1e-12)
    gradients = loop.gradients(x[:2], y[:2]).gradients
    assert worst(scan.gradients(x[:2], y[:2]).gradients, gradients)[0] < 1e-10


def test_a_reservoir_stays_exactly_as_it_is() -> None:
    case = Case("echo_state", layers=2)
    session = opened(case, "loop", OptimizerSpec("adam", clip_norm=0.5))
    _, weights = train(session)
    for name, (param, _) in case.model.params().items():
        changed = np.any(weights[name] != case.weights()[name])
        assert changed == param.trained, name


def test_features_are_what_the_readout_reads() -> None:
    case = Case("jordan", bidirectional=True, readout="attention")
    session = opened(case, "loop")
    found = session.features("train", [(0, 10), (10, 20), (20, 24)])
    W, b = case.weights()["readout.W"], case.weights()["readout.b"]
    assert found.shape == (24, 10)
    np.testing.assert_allclose(found @ W + b, session.outputs(case.data()[0]).logits, rtol=1e-10)


def test_equal_maxima_share_a_gradient() -> None:
    import tensorflow as tf

    from harness.backends.keras.readout import feature

    sequence = tf.constant([[[1.0], [3.0], [3.0]]])
    with tf.GradientTape() as tape:
        tape.watch(sequence)
        value = feature(Case("rnn", readout="max").model, {}, sequence, None)
    np.testing.assert_array_equal(tape.gradient(value, sequence)[0, :, 0], [0, 0.5, 0.5])
