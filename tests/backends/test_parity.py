"""Same mathematics: every cell × backend × implementation against the float64 reference.

Nothing here names a cell: what is tested is what lies in the folders.
"""

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from harness.backends.base import Session
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import CELLS, HOUSE, Case, assert_parity, cases, compare, open_session, reference

BACKENDS = sorted(path.parent.name for path in (HOUSE / "backends").glob("*/backend.py"))


def squares() -> Iterator[Any]:
    """The squares of the matrix that exist, from the files and what they offer."""
    for backend in BACKENDS:
        offered = import_module(f"harness.backends.{backend}.backend").implementations
        for cell in CELLS:
            for implementation in offered(cell):
                for case in cases(cell):
                    name = f"{backend}-{implementation}-{case}"
                    marks = [pytest.mark.long] if is_long(backend, implementation, case) else []
                    yield pytest.param(backend, implementation, case, id=name, marks=marks)


def is_long(backend: str, implementation: str, case: Case) -> bool:
    """What takes most of the time and finds the least in a change: code that Inductor generates
    (`test_torch_compiled.py` checks what it generates it from), all but one shape of every third cell under
    XLA, and in Keras both directions of all but every sixth cell, since a direction knows of no cell."""
    place = CELLS.index(case.cell)
    if (backend, implementation) == ("keras", "compiled"):
        return case != cases(case.cell)[-1] or place % 3 != 0
    both_ways = backend == "keras" and case.bidirectional and place % 6 != 0
    return implementation == "compiled" or both_ways


def opened(backend: str, implementation: str, case: Case, optimizer: OptimizerSpec) -> Session:
    """NumPy, which is also the reference, is compared with itself split over several threads."""
    threads = 4 if backend == "numpy" else 1
    session = open_session(backend, case, implementation, optimizer, threads)
    assert session.implementation == implementation
    return session


@pytest.mark.parametrize(("backend", "implementation", "case"), squares())
def test_weights_outputs_states_gradients_and_training(backend: str, implementation: str, case: Case) -> None:
    """XLA reorders more than the rest; everything else is held to 1e-9."""
    limit = 1e-7 if (backend, implementation) == ("keras", "compiled") else 1e-9
    assert_parity(partial(opened, backend, implementation, case), case, limit)


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
    session = opened(backend, "loop", Case(cell), OptimizerSpec("sgd"))
    differences = compare(session, reference(Case(cell)), Case(cell))
    assert max(differences.values()) > 1e-4, f"{names} may be swapped: {differences}"
    session.close()
