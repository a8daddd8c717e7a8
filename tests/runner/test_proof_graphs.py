"""What is timed is what was proved: a graph that does not compute what its step computes ends its run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.backends.torch import cuda_graph
from harness.errors import ParityFailed
from harness.runner import evaluation, proof, training
from harness.runner.context import Context
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.children import Shadow, sabotage
from tests.support.cuda_graphs import uncapture
from tests.support.prepared_runs import prepared_run

SMALL = (
    *("backend=torch", "data=digits", "cell.hidden=8", "train.batch_size=16", "threads=1"),
    "measure.window_seconds=0.02",
)
HARD = ("train.truncate=4", "model.layers=2", "model.dropout=0.2", "train.clip_norm=0.01")

STEPS = cuda_graph.GraphedUpdates.steps
FORWARD = cuda_graph.GraphedForward.__call__


@pytest.fixture
def details(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Proves a session that works by graphs as a run does, and tells what its record's details have."""
    uncapture(monkeypatch)

    def prove(*overrides: str) -> dict[str, Any]:
        context, found = prepared_run(*SMALL, *overrides)
        assert context.session.kernel.endswith("CUDA graph")
        training.warm_up(context)
        proof.restart(context)
        _evaluate(context)
        context.session.close()
        return found

    return prove


def _evaluate(context: Context) -> None:
    logits = evaluation.test_logits(context)
    proof.prove_predictions(context, logits)
    single = evaluation.test(context, logits)
    proof.prove_latency_predictions(context, single, logits[: len(single)])


@pytest.mark.parametrize("overrides", [(), HARD])
def test_graphs_that_are_right_pass(details: Callable[..., dict], overrides: tuple[str, ...]) -> None:
    program = details(*overrides)["parity_program"]
    assert (program["steps"], program["at_once"], program["limit"]) == (9, 4, 1e-4)
    assert max(program["losses"], *program["weights"].values(), *program["slots"].values()) < 1e-6


def single_step(self: cuda_graph.GraphedUpdates, count: int) -> None:
    """Reads another batch than the one that it is given, where it is alone in its graph."""
    if count == 1:
        self.indices.zero_()
    STEPS(self, count)


def several_steps(self: cuda_graph.GraphedUpdates, count: int) -> None:
    """Each reads the first one's batch."""
    self.indices[:] = self.indices[:1].clone()
    STEPS(self, count)


def stale_input(smallest: int, largest: int) -> Callable[..., Any]:
    def call(self: cuda_graph.GraphedForward, *inputs: torch.Tensor) -> Any:
        """Reads the input that was there at the capture, for batches of these sizes."""
        if smallest <= inputs[0].shape[1] <= largest:
            inputs = tuple(self.inputs)
        return FORWARD(self, *inputs)

    return call


@pytest.mark.parametrize(
    ("graph", "method", "wrong", "reason"),
    [
        ("GraphedUpdates", "steps", single_step, "3 batches of training are .* from the reference"),
        ("GraphedUpdates", "steps", several_steps, "9 steps, 4 at once, are .* from the same steps"),
        ("GraphedForward", "__call__", stale_input(2, 128), "logits of 256 test sequences are"),
        ("GraphedForward", "__call__", stale_input(1, 1), "logits of 200 test sequences are"),
    ],
    ids=["one step", "several steps", "predictions", "latency"],
)
def test_a_graph_that_is_not_its_step_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    details: Callable[..., dict],
    graph: str,
    method: str,
    wrong: Callable,
    reason: str,
) -> None:
    monkeypatch.setattr(getattr(cuda_graph, graph), method, wrong)
    with pytest.raises(ParityFailed, match=reason):
        details("evaluate.batch_size=128")


def test_predictions_one_by_one_may_be_as_far_off_as_those_in_batches(
    monkeypatch: pytest.MonkeyPatch, details: Callable[..., dict]
) -> None:
    """Two correct results may differ by more than the limit where rounding is amplified: then the reference
    decides."""
    monkeypatch.setattr(proof, "LIMITS", {"float32": 0.0})
    details()


SABOTAGE = """
from harness.backends.torch import cuda_graph
from tests.support.cuda_graphs import Uncaptured
steps = cuda_graph.GraphedUpdates.steps
def several_steps(self, count):
    self.indices[:] = self.indices[:1].clone()
    steps(self, count)
cuda_graph.supported = lambda device: True
cuda_graph.Capture = Uncaptured
cuda_graph.GraphedUpdates.steps = {steps}
"""


@pytest.mark.long
@pytest.mark.parametrize("steps", ["several_steps", "steps"])
def test_a_run_whose_graph_is_wrong_ends_as_parity_failed(
    run: Shell, results: Path, shadow: Shadow, steps: str
) -> None:
    run("backend=torch", env=sabotage(shadow, SABOTAGE.format(steps=steps)))
    (record,) = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    assert record.details["parity_program"]["at_once"] == cuda_graph.GROUP
    if steps == "steps":
        assert (record.status, record.reason) == ("ok", None)
        assert str(record.kernel).endswith("CUDA graph")
        assert np.isfinite(record.latency_p50_seconds)
    else:
        assert record.status == "parity_failed"
        assert str(record.reason).startswith("17 steps, 8 at once, are ")
        assert record.train_throughput is None
