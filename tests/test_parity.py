"""Same mathematics: every cell × backend × implementation against the float64 reference.

Nothing here names a cell: what is tested is what lies in the folders.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import harness
from harness.backends.base import Session
from harness.optim import OptimizerSpec
from harness.spec import cell_spec
from tests.parity import Case, compare, distance, open_session, optimizers, train, worst

HOUSE = Path(harness.__file__).parent
CELLS = sorted(path.stem for path in (HOUSE / "cells").glob("*.py") if path.stem != "__init__")
BACKENDS = sorted(path.parent.name for path in (HOUSE / "backends").glob("*/backend.py"))


def cases(cell: str) -> list[Case]:
    """1 and 2 layers, both directions, both readouts; and every option of the cell."""
    shapes = [
        Case(cell, layers, bidirectional, readout)
        for layers, bidirectional, readout in (
            (1, False, "last"),
            (2, False, "mean"),
            (1, True, "mean"),
            (2, True, "last"),
        )
    ]
    options = [
        Case(cell, options=((key, value),))
        for key, allowed in cell_spec(cell).options.items()
        for value in allowed[1:]
    ]
    return shapes + options


def squares() -> Iterator[object]:
    """The squares of the matrix that exist, from the files and what they offer."""
    for backend in BACKENDS:
        offered = import_module(f"harness.backends.{backend}.backend").implementations
        for cell in CELLS:
            for implementation in offered(cell):
                for case in cases(cell):
                    name = f"{backend}-{implementation}-{case}"
                    group = f"{backend}-{implementation}"
                    yield pytest.param(
                        backend, implementation, case, id=name, marks=pytest.mark.xdist_group(group)
                    )


CASES = [case for cell in CELLS for case in cases(cell)]
SQUARES = list(squares())


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
def test_outputs_gradients_and_every_optimiser(backend: str, implementation: str, case: Case) -> None:
    limit = tolerance(backend, implementation)
    session = opened(backend, case, implementation, OptimizerSpec("sgd"))
    assert session.implementation == implementation
    found = compare(session, reference(case), case)
    assert max(found.values()) < limit, found
    session.close()
    for optimizer in optimizers():
        session = opened(backend, case, implementation, optimizer)
        losses, weights = train(session)
        expected_losses, expected_weights = trained_reference(case, optimizer)
        assert distance(losses, expected_losses) < limit, optimizer.name
        assert worst(weights, expected_weights)[0] < limit, optimizer.name
        session.close()


@pytest.mark.parametrize(("backend", "implementation", "case"), SQUARES[:: len(CASES) // len(CELLS)])
def test_weights_come_back_as_they_went_in(backend: str, implementation: str, case: Case) -> None:
    session = opened(backend, case, implementation, OptimizerSpec("adam"))
    there, back = case.weights(), session.weights()
    assert {name: w.shape for name, w in back.items()} == case.model.shapes()
    for name, w in there.items():
        np.testing.assert_array_equal(back[name], w, err_msg=name)
    session.close()
