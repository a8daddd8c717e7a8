"""Data of a large scale: float32 rounds too coarsely there, and the reason of the run says so."""

import re
from pathlib import Path

import numpy as np
import pytest

from harness.backends.base import Gradients, Setup, Weights
from harness.backends.numpy.reference import Reference
from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec
from harness.runner.parity import gradients as parity
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.children import Shadow, sabotage
from tests.support.parity import Case, open_session


@pytest.fixture
def prices(tmp_path: Path) -> str:
    """Random walks of about 1,000, as raw prices are. For a GRU of eight units their gradient is 1e-3 off."""
    random = np.random.default_rng(0)
    walk = np.cumsum(random.normal(0, 1, (200, 60, 3)), 1)
    path = tmp_path / "prices.npz"
    np.savez(path, x=1000 + 50 * walk, y=(walk[:, -1, 0] > walk[:, 0, 0]).astype(int))
    return f"data.path={path}"


def only_record(results: Path) -> RunRecord:
    (path,) = results.glob("runs/*/*/record.json")
    return RunRecord.read(path)


OWN = ("data=npz", "cell=gru", "train.batch_size=64")


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.long)])
def test_the_reason_names_the_range_and_what_to_do(
    run: Shell, results: Path, prices: str, backend: str
) -> None:
    assert run(*OWN, prices, f"backend={backend}").returncode == 1
    record = only_record(results)
    assert record.status == "parity_failed"
    found = re.fullmatch(
        r"distance from the reference above 0\.0001: loss \S+, gradient (\S+) "
        r"\(rounding of the batch's values, (\S+) to (\S+): "
        r"the reference in float32 is (\S+) away itself; use data\.normalize=standard\)",
        str(record.reason),
    )
    assert found, record.reason
    gradient, low, high, float32 = map(float, found.groups())
    assert 1e-4 < gradient < 10 * float32
    assert low < 800 < 1200 < high


def test_standardised_the_same_data_train(run: Shell, results: Path, prices: str) -> None:
    done = run(*OWN, prices, "backend=numpy", "data.normalize=standard")
    assert done.returncode == 0, done.stderr
    assert only_record(results).status == "ok"


SWAPPED_GATES = """
import harness.backends.numpy.parameters as parameters
pack = parameters.Layout.pack
def swapped(self, weights, flat):
    if flat.dtype == "float32":
        swap = {"W_xr": "W_xz", "W_xz": "W_xr"}
        weights = {n: weights[n[:-4] + swap.get(n[-4:], n[-4:])] for n in weights}
    pack(self, weights, flat)
parameters.Layout.pack = swapped
"""


def test_a_swapped_gate_is_not_taken_for_rounding(
    run: Shell, results: Path, prices: str, shadow: Shadow
) -> None:
    """Although NumPy in float32, which is as wrong, is as far away."""
    assert run(*OWN, prices, "backend=numpy", env=sabotage(shadow, SWAPPED_GATES)).returncode == 1
    record = only_record(results)
    assert record.status == "parity_failed"
    assert re.search(r"gradient \S+ \((layers\.0\.forward|readout)\.\w+\)$", str(record.reason))


class Clipping:
    """A session that is wrong at a large scale only: it cuts its inputs off."""

    def __init__(self, case: Case) -> None:
        self.session = open_session("numpy", case, "loop", OptimizerSpec())

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        return self.session.gradients(np.clip(x, -5, 5), y)


def test_a_session_that_is_wrong_at_a_large_scale_is_not_taken_for_rounding() -> None:
    case = Case("gru")
    x, y = case.data()
    setup = Setup(case.model, OptimizerSpec())
    given = (Clipping(case), setup, case.weights(), 10 * x, y)
    distances = parity.measure(*given)
    assert not distances.within_limit
    assert parity.rounding_cause(distances, *given) is None


class Saturated:
    """A session whose gradient of a saturated gate is 1e-22 in place of 0."""

    def __init__(self, setup: Setup, weights: Weights) -> None:
        self.session = Reference(setup, weights, batch=64, precision="float32")

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        found = self.session.gradients(x, y)
        found.gradients["layers.0.forward.W_xz"] += 1e-22
        return found


def test_where_a_gate_saturates_the_reason_says_that_its_gradient_is_zero() -> None:
    setup = Setup(ModelSpec("gru", 60, 3, 32, 2), OptimizerSpec())
    walk = np.cumsum(np.random.default_rng(0).normal(0, 1, (64, 60, 3)), 1)
    x, y = 1e6 + 5e4 * walk, (walk[:, -1, 0] > walk[:, 0, 0]).astype(int)
    weights = draw(setup.model, 0, "keras")
    session = Saturated(setup, weights)
    distances = parity.measure(session, setup, weights, x, y)
    assert distances.gradient == np.inf
    assert parity.rounding_cause(distances, session, setup, weights, x, y) == (
        f"rounding of the batch's values, {x.min():.4g} to {x.max():.4g}: the gradient of "
        "layers.0.forward.W_xz is 0 there; use data.normalize=standard"
    )
