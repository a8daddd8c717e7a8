"""How far gradients flow back, against autograd; and what counting states count."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.model.optimizer import OptimizerSpec
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.parity import CASES, Case, open_session


def test_gradient_flow_is_that_of_autograd() -> None:
    case = Case("rnn", layers=2)
    x, y = case.data()
    found = open_session("numpy", case, "loop", OptimizerSpec()).gradient_flow(x, y)
    w = {name: torch.tensor(array) for name, array in case.weights().items()}
    below = list(torch.tensor(x).unbind(1))
    layers = []
    for layer in ("layers.0.forward", "layers.1.forward"):
        h, kept = torch.zeros(len(x), 5, dtype=torch.float64), []
        for x_t in below:
            h = (x_t @ w[f"{layer}.W_xh"] + h @ w[f"{layer}.W_hh"] + w[f"{layer}.b_h"]).tanh()
            h.requires_grad_()
            h.retain_grad()
            kept.append(h)
        layers.append(kept)
        below = kept
    logits = below[-1] @ w["readout.W"] + w["readout.b"]
    torch.nn.functional.cross_entropy(logits, torch.tensor(y)).backward()
    for name, kept in zip(found, layers, strict=True):
        np.testing.assert_allclose(found[name], [h.grad.norm() for h in kept], rtol=1e-10)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_cell_has_a_flow(case: Case) -> None:
    if "gradient_flow" in case.model.spec.refuses:
        pytest.skip(f"{case.cell} has no state h_t")
    session = open_session("numpy", case, "loop", OptimizerSpec())
    found = session.gradient_flow(*case.data())
    assert list(found) == [prefix for prefix, _ in case.model.blocks()]
    for norms in found.values():
        assert norms.shape == (case.steps,)
        assert np.isfinite(norms).all()
        assert norms.max() > 0
    ends = {prefix: 0 if prefix.endswith("backward") else -1 for prefix in found}
    if case.readout == "last" and case.cell != "recursive":
        top = max(found)  # the gradient comes in where the direction ends
        assert found[top][ends[top]] > 0


def test_the_record_has_the_flow_before_and_after_training(run: Shell, results: Path) -> None:
    overrides = ["cell=history_compressor", "backend=numpy", "model.bidirectional=true"]
    done = run(*overrides, "diagnostics=gradient_flow", "cell.threshold=0.1")
    assert done.returncode == 0, done.stderr
    (path,) = results.glob("runs/*/*/record.json")
    details = RunRecord.read(path).details
    assert details["gradient_flow_before"] != details["gradient_flow_after"]
    for when in ("before", "after"):
        assert {name: len(norms) for name, norms in details[f"gradient_flow_{when}"].items()} == {
            "layers.0.forward": 28,
            "layers.0.backward": 28,
        }
    for way in ("forward", "backward"):
        assert 0 < details["mean_per_step"][f"layers.0.{way}.surprises"] < 1
        assert details["mean_per_step"][f"layers.0.{way}.error"] > 0
