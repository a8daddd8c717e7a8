"""What torch.compile makes of PyTorch's loops: how often it compiles, and that nothing falls back."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from torch._dynamo.exc import FailOnRecompileLimitHit
from torch._dynamo.testing import CompileCounter

from harness.backends.torch import inductor, loop
from harness.backends.torch.cells import Packed, State
from harness.errors import Unavailable
from tests.support.parity import CASES, Case, assert_parity, open_session, train, worst
from tests.support.torch_sessions import session


def forget() -> None:
    """Nothing has been compiled yet."""
    torch._dynamo.reset()
    loop.compiled_steps.cache_clear()
    loop.compiled_sequence.cache_clear()


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounter]:
    """Counts the graphs that torch.compile makes, and runs them without Inductor, which takes long."""
    counter = CompileCounter()
    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: compiler(f, backend=counter, **options))
    forget()
    yield counter
    forget()


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=str(case), marks=[pytest.mark.long] * (k % 2)) for k, case in enumerate(CASES)],
)
def test_every_graph_computes_what_the_reference_computes(graphs: CompileCounter, case: Case) -> None:
    """What Inductor makes of it `test_parity.py` checks."""
    assert_parity(partial(open_session, "torch", case, "compiled"), case, 1e-9)
    assert graphs.frame_count


def test_a_long_sequence_is_compiled_once_in_pieces(graphs: CompileCounter) -> None:
    case = Case("rnn", steps=784)
    opened = session(case, "compiled", precision="float64")
    found = opened.gradients(*case.data())
    assert graphs.frame_count == 1
    assert graphs.op_count < 40 * 28
    expected = session(case, "loop", precision="float64").gradients(*case.data())
    assert worst(found.gradients, expected.gradients)[0] < 1e-9


@pytest.mark.parametrize("steps", [1, 27, 28, 29, 60, 784])
def test_pieces_are_short_near_equal_and_nothing_is_left_out(steps: int) -> None:
    sizes = []

    def run(xw: list[torch.Tensor], state: State, p: Packed, keep: bool) -> tuple[list, State]:
        sizes.append(len(xw))
        return list(xw), state

    xw = list(torch.arange(float(steps)))
    hs, _ = loop.in_chunks(run)(xw, (), {}, True)
    assert hs == xw
    assert max(sizes) <= 28
    assert len(set(sizes)) <= 2


def test_compiling_knows_no_way_back_to_eager(
    graphs: CompileCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = session(Case("rnn"), "compiled")
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 2)
    opened.predict("train", [(0, 1), (0, 2)])
    with pytest.raises(FailOnRecompileLimitHit):
        opened.predict("train", [(0, 3)])


def test_warming_up_compiles_everything_that_training_needs(graphs: CompileCounter) -> None:
    case = Case("lstm", layers=2, bidirectional=True)
    opened = session(case, "compiled")
    first = train(opened)
    compiled = graphs.frame_count
    opened.put_weights(case.weights())
    second = train(opened)
    assert graphs.frame_count == compiled
    np.testing.assert_array_equal(first[0], second[0])


@pytest.mark.long
def test_inductor_computes_what_the_loop_computes() -> None:
    case = Case("rnn", steps=30)
    found, expected = (session(case, name, precision="float64") for name in ("compiled", "loop"))
    assert found.kernel == "Inductor"
    (losses, weights), (expected_losses, expected_weights) = train(found), train(expected)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)
    assert worst(weights, expected_weights)[0] < 1e-9


def test_without_a_compiler_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(Unavailable, match=r"lacks a C\+\+ compiler \(no-such-compiler\)"):
        session(Case("rnn"), "compiled")


def test_a_second_session_compiles_nothing_again(graphs: CompileCounter) -> None:
    case = Case("hopfield", layers=2)
    first = train(session(case, "compiled"))
    compiled = graphs.frame_count
    assert compiled
    second = train(session(case, "compiled"))
    assert graphs.frame_count == compiled
    np.testing.assert_array_equal(first[0], second[0])


def test_other_options_are_compiled_apart(graphs: CompileCounter) -> None:
    case, relu = Case("rnn"), Case("rnn", options=(("activation", "relu"),))
    for each in (case, relu):
        found, expected = (session(each, name, precision="float64") for name in ("compiled", "loop"))
        assert worst(found.gradients(*case.data())[1], expected.gradients(*case.data())[1])[0] < 1e-9
    assert graphs.frame_count == 2


def test_euler_steps_count_as_steps(graphs: CompileCounter) -> None:
    case = Case("ctrnn", steps=28, options=(("substeps", 7),))
    session(case, "compiled").predict("train", [(0, 6)])
    assert graphs.frame_count == 1
    assert graphs.op_count < 28 * 10


def test_bfloat16_is_compiled_as_it_is_computed(graphs: CompileCounter) -> None:
    found, expected = (session(Case("gru"), name, precision="bfloat16") for name in ("compiled", "loop"))
    np.testing.assert_allclose(train(found)[0], train(expected)[0], rtol=1e-6)
    assert graphs.frame_count


@pytest.mark.parametrize("cell", ["fir", "recursive", "mlp"])
def test_what_has_no_steps_is_compiled_as_a_whole(graphs: CompileCounter, cell: str) -> None:
    case = Case(cell, steps=60)
    found, expected = (session(case, name, precision="float64") for name in ("compiled", "loop"))
    assert worst(found.gradients(*case.data())[1], expected.gradients(*case.data())[1])[0] < 1e-9
    assert graphs.frame_count == 1


def test_inductor_needs_triton_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inductor, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="the package triton"):
        inductor.require(torch.device("cuda"))
