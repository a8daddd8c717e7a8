"""Precisions: what is computed in which, where it is refused, and what a record says about it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.backends.torch import backend, inductor
from harness.errors import Unavailable
from harness.model.optimizer import OptimizerSpec
from harness.model.precision import PRECISIONS
from harness.runner.modes import stream
from harness.runner.parity.distance import LIMITS, UPDATE_LIMITS
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.configurations import composed
from tests.support.parity import CELLS, Case, open_session, train, worst
from tests.support.torch_sessions import session

ADAM = OptimizerSpec("adam")


def records(results: Path) -> list[RunRecord]:
    return [RunRecord.read(path) for path in sorted(results.glob("runs/*/*/record.json"))]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precisions_that_a_configuration_may_have(precision: str) -> None:
    assert composed(f"precision={precision}").precision == precision
    assert LIMITS[precision] <= UPDATE_LIMITS[precision] < 1
    assert 0 < stream.LIMITS[precision] < 0.1


@pytest.mark.long
def test_bfloat16_learns_what_float32_learns_and_is_honestly_less_exact(run: Shell, results: Path) -> None:
    chosen = ("device=cpu", "cell=gru", "cell.hidden=32", "train.epochs=4", "save_weights=true")
    done = run("-m", "precision=bfloat16,float32", *chosen)
    assert done.returncode == 0, done.stderr
    low, single = sorted(records(results), key=lambda record: record.precision)
    assert (low.precision, single.precision) == ("bfloat16", "float32")
    assert low.key != single.key
    assert low.test_loss == pytest.approx(single.test_loss, rel=0.02)
    assert low.test_accuracy == pytest.approx(single.test_accuracy, abs=0.05)
    assert single.parity_gradient < 1e-4 < low.parity_gradient < LIMITS["bfloat16"]
    assert low.details["tf32"] is False
    weights = f"weights={low.weights_path}"
    assert run(*chosen[:3], "precision=bfloat16", "mode=stream", weights).returncode == 0


@pytest.mark.long
def test_what_a_backend_does_not_compute_in_is_skipped_with_the_reason(run: Shell, results: Path) -> None:
    done = run("-m", "backend=numpy,keras", "precision=tf32,bfloat16,float16", "device=cpu")
    assert done.returncode == 2  # none could start
    assert run("-m", "backend=torch", "precision=tf32,float16", "device=cpu").returncode == 2
    found = {(r.backend, r.precision): (r.status, r.reason) for r in records(results)}
    expected = {
        (name, precision): ("skipped", f"precision={precision}: {name} computes in float32 and float64 only")
        for name in ("numpy", "keras")
        for precision in ("tf32", "bfloat16", "float16")
    }
    on_cpu = "is not available on device=cpu; it has: float32, float64, bfloat16"
    torch = {
        ("torch", precision): ("skipped", f"precision={precision} {on_cpu}")
        for precision in ("tf32", "float16")
    }
    assert found == expected | torch


@pytest.mark.long
def test_compiling_is_reported_apart(run: Shell, results: Path) -> None:
    try:
        inductor.require(torch.device("cpu"))
    except Unavailable as error:
        pytest.skip(str(error))
    few = ("device=cpu", "cell=rnn", "sequence.rows_per_step=14")
    for implementation in ("compiled", "loop"):
        done = run(f"backend.implementation={implementation}", *few)
        assert done.returncode == 0, done.stderr
    found = {record.implementation: record for record in records(results)}
    compiled = found["compiled"]
    assert 0.05 < compiled.compile_seconds < compiled.first_call_seconds
    assert found["loop"].compile_seconds is None


@pytest.mark.parametrize(
    ("cell", "implementation"),
    [(cell, i) for cell in CELLS for i in backend.implementations(cell) if i != "compiled"],
)
def test_bfloat16_in_every_cell(cell: str, implementation: str) -> None:
    case = Case(cell)
    opened = session(case, implementation, precision="bfloat16")
    reference = open_session("numpy", case, "loop", ADAM)
    x, y = case.data()
    mine, theirs = opened.outputs(x), reference.outputs(x)
    assert all(state.dtype == np.float32 for state in (*mine.states.values(), mine.logits, mine.sequence))
    distance = np.abs(mine.logits - theirs.logits).max() / np.abs(theirs.logits).max()
    assert 1e-5 < distance < 0.03
    assert 1e-4 < worst(opened.gradients(x, y).gradients, reference.gradients(x, y).gradients)[0] < 0.3
    losses, weights = train(opened)  # eight bits of mantissa, 4e-3, in each of twenty updates
    assert all(w.dtype == np.float32 for w in weights.values())
    np.testing.assert_allclose(losses, train(reference)[0], rtol=0.05)


def test_a_stock_stack_in_bfloat16_learns_where_to_start() -> None:
    case = Case("lstm", layers=2, bidirectional=True, initial_state="learned", readout="attention")
    opened = session(case, "fused", precision="bfloat16")
    reference = open_session("numpy", case, "loop", ADAM)
    found, expected = (each.gradients(*case.data()).gradients for each in (opened, reference))
    assert worst(found, expected)[0] < 0.1
