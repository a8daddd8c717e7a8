"""What the data or the weights of a run do not allow is refused before the first run of a command starts."""

from pathlib import Path

import numpy as np
import pytest

import harness
from harness.config import dataset
from harness.errors import ConfigError, WeightsError
from harness.model.initializers import draw
from harness.store import weights
from tests.conftest import SMALL, Shell
from tests.support.configurations import composed
from tests.support.npz_files import example, save
from tests.support.refusals import refused

DRY = "sweep.dry_run=true"


@pytest.fixture
def npz(tmp_path: Path) -> str:
    """A file of 120 sequences, of which 88 train."""
    return f"data.path={save(tmp_path / 'small.npz', **example())}"


@pytest.fixture
def lstm(tmp_path: Path) -> Path:
    """Weights of an LSTM of 8 units on rows."""
    model = composed(*SMALL).model_spec(dataset.shape_of(composed(*SMALL)))
    path = tmp_path / "lstm.safetensors"
    weights.save(path, draw(model, 0, "keras"), model)
    return path


def started(done: object, results: Path) -> bool:
    return results.exists() or "] " in done.stderr  # type: ignore[attr-defined]


@pytest.mark.parametrize("more", [(), ("data.limit=50",)])
def test_the_size_that_is_known_beforehand_is_that_of_the_data(
    npz: str, mnist: str, more: tuple[str]
) -> None:
    for data in (["data=digits"], ["data=npz", npz], ["data=mnist", f"data.root={mnist}"]):
        config = composed(*data, *more)
        assert dataset.train_size(config) == len(dataset.open_dataset(config).train.labels)


def test_a_batch_larger_than_the_training_set(run: Shell, results: Path, npz: str) -> None:
    sweep = ("-m", "backend=numpy,torch", "data=npz", npz, "train.batch_size=32,128")
    said = "train.batch_size=128: larger than the training set; data=npz has 88 training sequences here"
    done = run(*sweep)
    assert refused(done, said).count("\n") == 1
    assert not started(done, results)
    done = run(*sweep, DRY)
    assert done.returncode == 0
    assert done.stdout.count(f"cannot start: {said}, so at most 88\n") == 2
    assert done.stdout.endswith("2 would run, 0 complete already, 2 cannot start\n")
    limited = run("-m", "backend=numpy", "seed=0,1", "data.limit=100", "train.batch_size=101")
    refused(limited, "data=digits has 100 training sequences here")
    assert not started(limited, results)


def test_weights_that_cannot_be_read(run: Shell, results: Path) -> None:
    for path, reason in ((results / "none.safetensors", "No such file"), (results.parent, "Is a directory")):
        done = run("-m", "backend=numpy", "seed=0,1", f"weights={path}")
        assert refused(done, f"weights={path}: cannot be read: {reason}").count("\n") == 1
        assert not started(done, results)


def test_weights_of_another_model(run: Shell, results: Path, lstm: Path) -> None:
    sweep = ("-m", "backend=numpy", "cell=lstm,gru", f"weights={lstm}")
    said = f"weights={lstm}: another model's: it lacks layers.0.forward.W_xr (28, 8)"
    done = run(*sweep)
    assert refused(done, said).count("\n") == 1
    assert not started(done, results)
    dry = run(*sweep, DRY)
    assert dry.returncode == 0
    assert "lstm-8 digits row seed 0: would run" in dry.stdout
    assert f"cannot start: {said}" in dry.stdout


def test_python_is_told_the_same(results: Path, lstm: Path) -> None:
    overrides = [*SMALL, "backend=numpy", f"results.root={results}"]
    with pytest.raises(
        ConfigError, match="batch_size=1319: larger than the training set; data=digits has 1,318"
    ):
        harness.run([*overrides, "train.batch_size=1319"])
    with pytest.raises(WeightsError, match=r"weights=nowhere: cannot be read: No such file"):
        harness.run([*overrides, "weights=nowhere"])
    with pytest.raises(WeightsError, match=r"another model's: layers\.0\.forward\.W_xi is"):
        harness.run([*overrides, "cell.hidden=9", f"weights={lstm}"])
    assert not list(results.glob("runs/*"))


def test_a_session_takes_any_batch(lstm: Path) -> None:
    session = harness.open_session([*SMALL, "backend=numpy", "train.batch_size=9999", f"weights={lstm}"])
    assert session.outputs(np.zeros((2, 28, 28), np.float32)).logits.shape == (2, 10)
