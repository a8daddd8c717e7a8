"""`backend.pad_features`: the same outputs, gradients and updates from a layer that reads zeros beside the
features."""

from pathlib import Path

import numpy as np
import pytest

from harness.config import identity
from harness.errors import ConfigError, Unavailable
from harness.launcher.titles import title_of
from harness.model.optimizer import OptimizerSpec
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.configurations import composed
from tests.support.parity import Case, compare, optimizers, train, worst
from tests.support.torch_sessions import session


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda spec: spec.name)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_it_changes_no_result(cell: str, optimizer: OptimizerSpec) -> None:
    case = Case(cell, initial_state="learned", readout="mean")
    padded, plain = (
        session(case, "fused", optimizer, precision="float64", pad_features=pad) for pad in (True, False)
    )
    assert padded._model.layers.stacks[0].input_size == 128
    assert {name: w.shape for name, w in padded.weights().items()} == case.model.shapes()
    assert max(compare(padded, plain, case).values()) < 1e-12
    losses, weights = train(padded)
    expected_losses, expected_weights = train(plain)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-12)
    assert worst(weights, expected_weights)[0] < 1e-11
    assert not padded._model.layers.blocks[0]["weight_ih"].detach()[:, 4:].any()
    assert worst(padded.optimizer_state(), plain.optimizer_state())[0] < 1e-11
    assert (padded.details(), plain.details()) == ({"padded_features": 128}, {})


def test_a_state_goes_from_one_to_the_other() -> None:
    case = Case("lstm")
    padded, plain = (session(case, "fused", precision="float64", pad_features=pad) for pad in (True, False))
    train(plain)
    padded.put_weights(plain.weights())
    padded.put_optimizer_state(plain.optimizer_state())
    (mine, weights), (theirs, expected) = train(padded), train(plain)
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    assert worst(weights, expected)[0] < 1e-11


def test_what_cannot_be_padded_is_refused() -> None:
    for cell, implementation in (("lstm", "loop"), ("fir", "fused")):
        with pytest.raises(Unavailable, match=rf"pad_features=true: .* {implementation} {cell} is none"):
            session(Case(cell), implementation, pad_features=True)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("backend=numpy",), "numpy takes false alone"),
        (("backend=keras",), "keras takes false alone"),
        (("backend.implementation=loop",), "implementation=loop is no layer of PyTorch's"),
        (("model.layers=2",), "is for one layer: needs model.layers=1, not 2"),
        (("model.bidirectional=true",), "is for one direction: needs model.bidirectional=false"),
    ],
)
def test_what_has_no_persistent_kernel_is_refused_by_name(overrides: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        composed(*overrides, "backend.pad_features=true")
    assert str(caught.value) == f"backend.pad_features=True: {reason}"


def test_a_run_without_it_is_the_run_that_it_was() -> None:
    config, padded = composed(), composed("backend.pad_features=true")
    values = config.to_mapping()
    older = {**values, "backend": {k: v for k, v in values["backend"].items() if k != "pad_features"}}
    assert identity.essential(values) == identity.essential(older)
    assert identity.settings(values) == identity.settings(older)
    assert identity.essential(padded.to_mapping()) != identity.essential(values)
    assert "torch padded lstm-128" in title_of(padded)


@pytest.mark.long
def test_a_run_says_so(run: Shell, results: Path) -> None:
    done = run("-m", "backend=torch", "backend.pad_features=true,false", "device=cpu")
    assert done.returncode == 0, done.stderr
    records = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    padded, plain = sorted(records, key=lambda record: "padded_features" not in record.details)
    assert padded.details["padded_features"] == 128
    assert "padded_features" not in plain.details
    assert padded.parameters == plain.parameters
    assert padded.test_loss == pytest.approx(plain.test_loss, rel=1e-4)
