"""Counts of arithmetic against what PyTorch multiplies in training."""

from dataclasses import replace

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from harness.config.catalogue import cell_names
from harness.model.network import Flops, ModelSpec
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import BATCH, Case, open_session

CASES = [
    *(Case(cell) for cell in sorted(cell_names())),
    Case("lstm", layers=2, bidirectional=True, readout="attention"),
    Case("gru", layers=2, truncate=3),
    Case("gru", truncate=3, initial_state="learned", readout="mean"),
    Case("gru_reset_before", truncate=3),
    Case("ctrnn", truncate=2, readout="max"),
    Case("hopfield", initial_state="learned"),
    Case("fir", layers=2, readout="mean"),
    Case("mingru", layers=2, bidirectional=True),
    Case("jordan", layers=3),
    Case("echo_state", layers=2, bidirectional=True, readout="attention"),
    Case("echo_state", layers=2, initial_state="learned"),
    Case("echo_state", layers=2, initial_state="learned", truncate=3),
    Case("recursive", steps=8),
]


def multiplied(case: Case) -> float:
    """FLOPs of the products in an update on one batch, by sequence, as PyTorch's dispatcher sees them."""
    session = open_session("torch", case, "loop", OptimizerSpec())
    with FlopCounterMode(display=False) as counter:
        session.train(np.arange(BATCH)[None], np.full(1, 0.01))
    session.close()
    return counter.get_total_flops() / BATCH


@pytest.mark.parametrize("case", CASES, ids=str)
def test_training_multiplies_what_is_counted(case: Case) -> None:
    model = case.model
    counted = model.training_flops_per_sequence(case.truncate)
    if case.cell == "history_compressor":  # nothing reads the lower net after the last step: no gradient
        counted -= 2 * (2 * model.hidden**2)
    assert multiplied(case) == counted


def test_the_count_is_by_matrix_and_direction_of_the_pass() -> None:
    model = ModelSpec("rnn", steps=7, features=4, hidden=5, classes=3, layers=2)
    per_product = {"W_xh": 2 * 4 * 5, "W_hh": 2 * 5 * 5}
    flops = model.flops()
    assert flops["layers.0.forward.W_xh"] == Flops(7 * per_product["W_xh"], 0, 7 * per_product["W_xh"])
    assert flops["layers.0.forward.W_hh"] == Flops(7 * 50, 6 * 50, 7 * 50)  # no gradient by the first state
    assert flops["layers.1.forward.W_xh"] == Flops(7 * 50, 7 * 50, 7 * 50)
    assert flops["readout.W"] == Flops(30, 30, 30)
    learned = replace(model, initial_state="learned").flops()
    assert learned["layers.0.forward.W_hh"] == Flops(7 * 50, 7 * 50, 7 * 50)
    in_chunks = model.flops(truncate=3)  # of 3, 3 and 1 steps
    assert in_chunks["layers.0.forward.W_hh"] == Flops(7 * 50, 4 * 50, 7 * 50)
    assert in_chunks["readout.W"] == Flops(3 * 30, 3 * 30, 3 * 30)


def test_three_times_the_forward_pass_would_be_too_much() -> None:
    """LSTM by rows 7.5 %, by four rows at once 22 %, fir and mlp by half."""

    def excess(cell: str, steps: int, **options: int) -> float:
        model = ModelSpec(cell, steps, 784 // steps, 128, 10, options=options)
        return 3 * model.flops_per_sequence / model.training_flops_per_sequence() - 1

    assert excess("lstm", 28) == pytest.approx(0.075, abs=0.001)
    assert excess("lstm", 7) == pytest.approx(0.221, abs=0.001)
    assert excess("fir", 28, taps=4) == pytest.approx(0.5, abs=0.01)
    assert excess("mlp", 28) == pytest.approx(0.5, abs=0.01)


def test_of_a_reservoir_the_readout_alone_is_trained() -> None:
    model = ModelSpec("echo_state", steps=7, features=4, hidden=5, classes=3, layers=2)
    flops = model.flops()
    assert all(each.by_inputs == each.by_weights == 0 for name, each in flops.items() if "layers" in name)
    assert flops["readout.W"] == Flops(30, 0, 30)
    assert model.training_flops_per_sequence() == model.flops_per_sequence + 30
    assert model.flops_per_sequence == 7 * 2 * (4 * 5 + 3 * 5 * 5) + 30
