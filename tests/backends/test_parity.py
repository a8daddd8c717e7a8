"""Same mathematics: every cell × backend × implementation against the float64 reference.

Nothing here names a cell: what is tested is what lies in the folders.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from harness.backends.base import Session
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import (
    CELLS,
    HOUSE,
    Case,
    cases,
    compare,
    distance,
    open_session,
    optimizers,
    train,
    worst,
)

BACKENDS = sorted(path.parent.name for path in (HOUSE / "backends").glob("*/backend.py"))


def squares() -> Iterator[Any]:
    """The squares of the matrix that exist, from the files and what they offer."""
    for backend in BACKENDS:
        offered = import_module(f"harness.backends.{backend}.backend").implementations
        for cell in CELLS:
            for implementation in offered(cell):
                for case in cases(cell):
                    name = f"{backend}-{implementation}-{case}"
                    marks = [pytest.mark.long] if implementation == "compiled" else []
                    yield pytest.param(backend, implementation, case, id=name, marks=marks)


SQUARES = list(squares())
FIRST = [square for square in SQUARES if square.values[2] == cases(square.values[2].cell)[0]]


def opened(backend: str, case: Case, implementation: str, optimizer: OptimizerSpec) -> Session:
    """NumPy, which is also the reference, is compared with itself split over several threads."""
    threads = 4 if backend == "numpy" else 1
    return open_session(backend, case, implementation, optimizer, threads)


def tolerance(backend: str, implementation: str) -> float:
    """XLA reorders more than the rest; everything else is held to 1e-9."""
    return 1e-7 if (backend, implementation) == ("keras", "compiled") else 1e-9


@cache
def reference(case: Case) -> Session:
    return open_session("numpy", case, "loop", OptimizerSpec("sgd"))


@cache
def trained_reference(case: Case, optimizer: OptimizerSpec) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    return train(open_session("numpy", case, "loop", optimizer))


@pytest.mark.parametrize(("backend", "implementation", "case"), SQUARES)
def test_outputs_states_gradients_and_training(backend: str, implementation: str, case: Case) -> None:
    """The optimisers take turns over cells and shapes, so that every implementation meets all four."""
    limit = tolerance(backend, implementation)
    first, *others = turns(case)
    session = opened(backend, case, implementation, first)
    assert session.implementation == implementation
    found = compare(session, reference(case), case)
    assert max(found.values()) < limit, found
    for optimizer in (first, *others):
        if optimizer is not first:
            session.close()
            session = opened(backend, case, implementation, optimizer)
        losses, weights = train(session)
        expected_losses, expected_weights = trained_reference(case, optimizer)
        assert distance(losses, expected_losses) < limit, optimizer.name
        assert worst(weights, expected_weights)[0] < limit, optimizer.name
    session.close()


def turns(case: Case) -> list[OptimizerSpec]:
    """One optimiser for each of three cases or more, more where a cell has fewer; the next cell begins with
    the next."""
    index, count, first = cases(case.cell).index(case), len(cases(case.cell)), CELLS.index(case.cell)
    numbers = [k for k in range(3) if k % count == index] or [index]
    return [optimizers()[(first + k) % 4] for k in numbers]


def swapped(module: ModuleType, cell: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes a cell's `pack` take two parameters of the same shape for each other; their names."""
    shapes = Case(cell).model.cell_shapes(4)
    pairs = [(a, b) for a in shapes for b in shapes if a < b and shapes[a] == shapes[b]]
    if not pairs:
        pytest.skip(f"no two parameters of {cell} have the same shape")
    a, b = pairs[-1]
    pack = module.pack
    monkeypatch.setattr(module, "pack", lambda weights: pack({**weights, a: weights[b], b: weights[a]}))
    return f"{a} and {b}"


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])
def test_a_swapped_parameter_is_noticed(backend: str, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module(f"harness.backends.{backend}.cells.{cell}")
    names = swapped(module, cell, monkeypatch)
    session = opened(backend, Case(cell), "loop", OptimizerSpec("sgd"))
    found = compare(session, reference(Case(cell)), Case(cell))
    assert max(found.values()) > 1e-4, f"{names} may be swapped: {found}"
    session.close()


@pytest.mark.parametrize(("backend", "implementation", "case"), FIRST)
def test_weights_come_back_as_they_went_in(backend: str, implementation: str, case: Case) -> None:
    session = opened(backend, case, implementation, OptimizerSpec("adam"))
    there, back = case.weights(), session.weights()
    assert {name: w.shape for name, w in back.items()} == case.model.shapes()
    for name, w in there.items():
        np.testing.assert_array_equal(back[name], w, err_msg=name)
    session.close()
