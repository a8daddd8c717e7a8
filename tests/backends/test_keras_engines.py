"""Keras on JAX and on PyTorch, held to the float64 reference, each in a process of its own: Keras starts
on one engine only."""

import json
import os
import subprocess
import sys
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
from tests.support.parity import Case, compare, distance, open_session, optimizers, train, worst

pytestmark = pytest.mark.long

HOUSE = Path(__file__).parents[2]
KERNELS = {
    "jax": {
        "fused": "JAX XLA",
        "loop": "JAX, one operation at a time",
        "compiled": "JAX XLA",
        "scan": "JAX, one operation at a time",
    },
    "torch": {
        "fused": "PyTorch eager",
        "loop": "PyTorch eager",
        "compiled": "PyTorch Inductor",
        "scan": "PyTorch eager",
    },
}
SQUARES = [
    (Case("lstm", steps=5), "loop"),
    (Case("lstm", layers=2, bidirectional=True, readout="mean", initial_state="learned", steps=5), "fused"),
    (Case("lstm", readout="max", initial_state="learned", steps=8, truncate=4), "fused"),
    (Case("gru_reset_before", bidirectional=True, readout="max", steps=5), "fused"),
    (Case("gru", bidirectional=True, initial_state="learned", steps=5), "compiled"),
    (Case("history_compressor", initial_state="learned", readout="attention", steps=6, truncate=3), "loop"),
    (Case("fir", layers=2, initial_state="learned", readout="max", steps=6), "fused"),
    (Case("fir", bidirectional=True, steps=5), "compiled"),
    (Case("mingru", bidirectional=True, readout="attention", initial_state="learned", steps=5), "scan"),
    (Case("recursive", steps=5), "loop"),
    (Case("echo_state", steps=5), "loop"),
]


@pytest.mark.parametrize("engine", list(KERNELS))
def test_other_engines_compute_the_same(engine: str, tmp_path: Path) -> None:
    if find_spec(engine) is None:
        pytest.skip(f"the package {engine} is not installed")
    (tmp_path / "keras.json").write_text('{"floatx": "float16", "backend": "tensorflow"}')
    env = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.test_keras_engines", engine],
        cwd=HOUSE,
        env=env | {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["refusal"] == (
        f"precision=float64: Keras on {engine} computes in float32 instead; "
        "use backend.engine=tensorflow or precision=float32"
    )
    assert found["float32"] < 1e-5
    assert found["dropout"] == {
        "again": True,
        "drops": True,
        "off": True,
        "another": False,
        "another epoch": False,
    }
    assert found["maxima"] == [0, 0.5, 0.5]
    assert max(found["gone on"].values()) < 1e-9, found["gone on"]
    assert len(found["squares"]) == len(SQUARES) or engine == "torch"  # without a C++ compiler
    for name, (implementation, kernel, distances) in found["squares"].items():
        assert kernel == KERNELS[engine][implementation], name
        limit = 1e-7 if implementation == "compiled" else 1e-9
        assert max(distances.values()) < limit, (name, distances)


def measure(engine: str) -> None:
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
    expected = open_session("numpy", Case("lstm"), "loop", OptimizerSpec()).gradients(x, y)
    gradients = single.gradients(x, y).gradients
    assert all(array.dtype == np.float32 for array in gradients.values())
    found = {
        "refusal": refusal,
        "float32": worst(gradients, expected.gradients)[0],
        "dropout": dropout(engine),
        "maxima": maxima(engine),
    }
    # Keras lets 64-bit types through on TensorFlow alone; without this table it does everywhere, and
    # the same code can be held to the reference in float64
    import_module("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE.clear()
    found["gone on"] = gone_on(engine)
    squares = {}
    for case, implementation in SQUARES:
        try:
            squares[f"{implementation} {case}"] = implementation, *square(case, implementation, engine)
        except Unavailable as error:
            sys.stderr.write(f"{error}\n")
    sys.stdout.write("\n" + json.dumps(found | {"squares": squares}))


def square(case: Case, implementation: str, engine: str) -> tuple[str, dict[str, float]]:
    """The kernel, and distances of outputs, states, gradients and 20 steps of Adam."""
    optimizer = OptimizerSpec("adam", clip_norm=0.5)
    setup = Setup(case.model, optimizer, implementation, engine, precision="float64", truncate=case.truncate)
    session = backend.open_session(setup)
    weights = case.weights()
    session.put_weights(weights)
    for array in weights.values():
        array[...] = np.nan  # the session has a copy
    session.load("train", *case.data())
    reference = open_session("numpy", case, "loop", optimizer)
    found = compare(session, reference, case)
    (losses, trained), (expected_losses, expected_weights) = train(session), train(reference)
    found |= {"losses": distance(losses, expected_losses), "weights": worst(trained, expected_weights)[0]}
    kernel = session.kernel
    session.close()
    return kernel, found


def gone_on(engine: str) -> dict[str, float]:
    """Distances of six updates from three and three, with weights and state taken from the reference in
    between; and of the state from the reference's."""
    case = Case("gru", initial_state="learned", steps=5)
    found = {}
    for optimizer in optimizers():
        setup = Setup(case.model, optimizer, "fused", engine, precision="float64")
        session, reference = backend.open_session(setup), open_session("numpy", case, "loop", optimizer)
        batches, rates = np.random.default_rng(13).integers(0, 24, (6, 6)), np.linspace(0.02, 0.01, 6)
        session.put_weights(case.weights())
        session.load("train", *case.data())
        for each in (session, reference):
            each.train(batches[:3], rates[:3])
        state = reference.optimizer_state()
        found[f"{optimizer.name} state"] = worst(session.optimizer_state(), state)[0]
        session.put_weights(reference.weights())
        session.put_optimizer_state(state)
        losses, expected = (each.train(batches[3:], rates[3:]) for each in (session, reference))
        found[f"{optimizer.name} losses"] = distance(losses, expected)
        found[f"{optimizer.name} weights"] = worst(session.weights(), reference.weights())[0]
        session.close()
    return found


def dropout(engine: str) -> dict[str, bool]:
    """What two runs of one seed, one without dropout, one of another seed and one of another epoch have in
    common."""
    case = Case("rnn", layers=2)
    setup = Setup(replace(case.model, dropout=0.5), OptimizerSpec("sgd"), "fused", engine)

    def losses(setup: Setup, epoch: int = 0) -> list[float]:
        session = backend.open_session(setup)
        session.put_weights(case.weights())
        session.load("train", *case.data())
        if epoch:
            session.begin_epoch(epoch)
        return session.train(np.tile(np.arange(6), (4, 1)), np.zeros(4)).tolist()

    first, plain = losses(setup), losses(replace(setup, model=case.model))
    return {
        "again": losses(setup) == first,
        "drops": len(set(first)) == 4,
        "off": len(set(plain)) == 1,
        "another": bool(set(losses(replace(setup, seed=1))) & set(first)),
        "another epoch": bool(set(losses(setup, epoch=1)) & set(first)),
    }


def maxima(engine: str) -> list[float]:
    """The gradient by outputs of which two are the greatest."""
    from harness.backends.keras.readout import feature

    kind = backend.start_engine(engine, threads=1)("cpu", threads=1, precision="float32")
    model = Case("rnn", readout="max").model
    by = kind.value_and_gradients(lambda sequences: (feature(model, {}, sequences[0], None).sum(), []))
    _, (gradient,), _ = by([kind.put(np.array([[[1.0], [3.0], [3.0]]], np.float32))])
    return np.asarray(gradient)[0, :, 0].tolist()


if __name__ == "__main__":
    measure(sys.argv[1])
