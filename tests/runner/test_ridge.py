"""Readouts in closed form: the equations, and one pass that gives every backend the same weights."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.linear_model import Ridge

from harness.runner.ridge import Sums
from harness.store.record import RunRecord
from tests.conftest import Shell


def test_the_solution_is_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    features, labels, λ = rng.normal(size=(200, 7)), rng.integers(0, 4, 200), 0.01
    sums = Sums(7, 4)
    for part in (slice(0, 50), slice(50, 53), slice(53, 200)):
        sums.add(features[part], labels[part])
    found = sums.solution(λ)
    one_hot = np.eye(4)[labels]
    expected = Ridge(alpha=λ * 200).fit(features, one_hot)
    np.testing.assert_allclose(found["readout.W"], expected.coef_.T, rtol=1e-9)
    np.testing.assert_allclose(found["readout.b"], expected.intercept_, rtol=1e-9)
    missed = features @ found["readout.W"] + found["readout.b"] - one_hot
    assert sums.error(found) == pytest.approx(np.mean(np.sum(missed**2, axis=1)))


@pytest.mark.long
def test_one_pass_and_the_same_weights_in_every_backend(run: Shell, results: Path) -> None:
    done = run(
        "-m", "cell=echo_state", "cell.hidden=100", "backend=numpy,torch,keras", "save_weights=true", "seed=1"
    )
    assert done.returncode == 0, done.stderr
    records = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    assert {record.backend for record in records} == {"numpy", "torch", "keras"}
    found = []
    for record in records:
        assert sum(window["sequences"] for window in record.timing["windows"]) == 1318
        assert len(record.history) == 1
        assert record.test_accuracy is not None
        assert record.test_accuracy > 0.85
        assert record.parameters == 100 * 10 + 10
        assert record.weights_path is not None
        found.append(load_file(record.weights_path))
    for name, expected in found[0].items():
        scale = np.abs(expected).max()
        for other in found[1:]:
            assert np.abs(other[name] - expected).max() / scale < 1e-6, name
    recurrent = found[0]["layers.0.forward.W_hh"].astype(np.float64)
    assert np.abs(np.linalg.eigvals(recurrent)).max() == pytest.approx(1.1, rel=1e-5)
    assert (recurrent != 0).mean() == pytest.approx(0.1, abs=0.02)


def test_by_gradient_only_the_readout_moves(run: Shell, results: Path) -> None:
    command = ["cell=echo_state", "cell.hidden=30", "backend=numpy", "save_weights=true", "train.epochs=1"]
    for solver in ("gradient", "ridge"):
        assert run(*command, f"train.solver={solver}").returncode == 0
    one, two = (load_file(path) for path in results.glob("runs/*/*/weights.safetensors"))
    for name in one:
        assert np.array_equal(one[name], two[name]) == name.startswith("layers."), name
