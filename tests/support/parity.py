"""What the parity tests measure: a session of any backend against the float64 NumPy reference."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import yaml

import harness
from harness.backends.base import Session, Setup, Weights
from harness.config.compose import CONF
from harness.model.cell import Choice, Value, cell_spec
from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec

STEPS = 20
BATCH = 6
RATE = 0.01


@dataclass(frozen=True)
class Case:
    """A model, random data for it (T = 7, B = 6, I = 4, H = 5, C = 3) and random weights."""

    cell: str
    layers: int = 1
    bidirectional: bool = False
    readout: str = "last"
    initial_state: str = "zeros"
    options: tuple[tuple[str, Value], ...] = ()
    steps: int = 7
    truncate: int | None = None

    @property
    def model(self) -> ModelSpec:
        return ModelSpec(
            cell=self.cell,
            steps=self.steps,
            features=4,
            hidden=5,
            classes=3,
            layers=self.layers,
            bidirectional=self.bidirectional,
            readout=self.readout,
            initial_state=self.initial_state,
            options={**defaults(self.cell), **dict(self.options)},
        )

    def weights(self) -> Weights:
        """No constant, no zero: every entry of every parameter is random, so a swap cannot hide."""
        rng = np.random.default_rng(7)
        return {name: w + rng.normal(0, 0.3, w.shape) for name, w in draw(self.model, 3, "keras").items()}

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(11)
        return rng.normal(size=(24, self.steps, 4)), rng.integers(0, 3, 24)


# what the cell's own file in conf/ would not do for five units and seven steps
SMALL: dict[str, Value] = {"density": 0.6, "taps": 3, "threshold": 1.0}


@cache
def defaults(cell: str) -> dict[str, Value]:
    """The options of a cell as its file in `conf/cell` has them."""
    values = yaml.safe_load((CONF / "cell" / f"{cell}.yaml").read_text("utf-8"))
    values = values.get("cell", values)
    return {name: SMALL.get(name, values[name]) for name in cell_spec(cell).options}


def open_session(
    backend: str, case: Case, implementation: str, optimizer: OptimizerSpec, threads: int = 1
) -> Session:
    module = import_module(f"harness.backends.{backend}.backend")
    setup = Setup(
        model=case.model,
        optimizer=optimizer,
        implementation=implementation,
        precision="float64",
        threads=threads,
        truncate=case.truncate,
    )
    session: Session = module.open_session(setup)
    session.put_weights(case.weights())
    session.load("train", *case.data())
    return session


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest expected value."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return float(np.max(np.abs(found - expected)) / max(np.max(np.abs(expected)), 1e-300))


def worst(found: Weights, expected: Weights) -> tuple[float, str]:
    assert list(found) == list(expected)
    return max((distance(found[name], expected[name]), name) for name in expected)


def optimizers(clip_norm: float | None = 0.5) -> list[OptimizerSpec]:
    base = OptimizerSpec(clip_norm=clip_norm)
    return [replace(base, name=name) for name in ("sgd", "momentum", "adam", "rmsprop")]


def train(session: Session) -> tuple[np.ndarray, Weights]:
    """Losses (20,) and weights after 20 updates on batches of 6, at a rate that changes every step."""
    batches = np.random.default_rng(13).integers(0, 24, (STEPS, BATCH))
    losses = session.train(batches, RATE * np.linspace(1.0, 0.2, STEPS))
    return losses, session.weights()


def compare(session: Session, reference: Session, case: Case) -> dict[str, float]:
    """Distances of outputs, states, loss and gradients of two fresh sessions; and, where a sequence can
    be cut, those of a sequence that is read in two parts with the states carried on. A batch is as large
    as in training, so that a compiler meets few shapes."""
    x, y = (array[:BATCH] for array in case.data())
    mine, theirs = session.outputs(x), reference.outputs(x)
    a, b = session.gradients(x, y), reference.gradients(x, y)
    found = {
        "sequence": distance(mine.sequence, theirs.sequence),
        "last": distance(mine.last, theirs.last),
        "logits": distance(mine.logits, theirs.logits),
        "loss": abs(a.loss - b.loss) / b.loss,
        "gradients": worst(a.gradients, b.gradients)[0],
    }
    if theirs.states:
        found["states"] = worst(mine.states, theirs.states)[0]
    if not case.bidirectional and "stream" not in cell_spec(case.cell).refuses:
        session.reset()
        half = case.steps // 2
        first, second = session.advance(x[:, :half]), session.advance(x[:, half:])
        found["parts"] = distance(np.concatenate([first.sequence, second.sequence], axis=1), theirs.sequence)
        session.reset()
        found["read on"] = distance(session.read_on(x[:, :half], sequence=True), first.sequence)
        found["read on"] += distance(session.read_on(x[:, half:]), second.logits)
        found["carried"] = worst(second.states, theirs.states)[0] if theirs.states else 0.0
    return found


HOUSE = Path(harness.__file__).parent


CELLS = sorted(path.stem for path in (HOUSE / "cells").glob("*.py") if path.stem != "__init__")


def cases(cell: str) -> list[Case]:
    """Layers, directions, readouts, initial states and chunks, as far as the cell takes them; and every
    word that its options allow. Readouts, which no cell knows of, take turns over the cells."""
    spec = cell_spec(cell)
    steps = 7 if spec.single_output else 8  # seven leaves: one without a neighbour on every level
    both_ways, chunks = ("attention", "last") if CELLS.index(cell) // 2 % 2 else ("last", "max")
    shapes = [
        Case(cell, steps=steps, layers=2, readout="mean", initial_state="learned"),
        Case(cell, steps=steps, layers=2, bidirectional=True, readout=both_ways, initial_state="learned"),
        Case(cell, steps=steps, readout=chunks, truncate=4),
    ]
    plain = {
        "layers": {"layers": 1},
        "bidirectional": {"bidirectional": False},
        "readout": {"readout": "last"},
        "initial_state": {"initial_state": "zeros"},
        "truncate": {"truncate": None},
    }
    allowed = {}  # without what the cell refuses some shapes become the same
    for case in shapes:
        for key, change in plain.items():
            if key in spec.refuses:
                case = replace(case, **change)
        allowed[case] = None
    options = [
        Case(cell, steps=steps, options=((key, value),))
        for key, option in spec.options.items()
        if isinstance(option, Choice)
        for value in option.allowed
        if value != defaults(cell)[key]
    ]
    return [*allowed, *options]


CASES = [case for cell in CELLS for case in cases(cell)]


@cache
def reference(case: Case) -> Session:
    return open_session("numpy", case, "loop", OptimizerSpec("sgd"))


@cache
def trained_reference(case: Case, optimizer: OptimizerSpec) -> tuple[np.ndarray, Weights]:
    return train(open_session("numpy", case, "loop", optimizer))


def assert_parity(opened: Callable[[OptimizerSpec], Session], case: Case, limit: float) -> None:
    """Checks a session against the reference: the weights that it holds are those that were put into it,
    and its outputs, states, gradients and 20 updates differ from the reference's by less than `limit`.

    The optimizers take turns over cells and shapes, so that every implementation meets all four.
    """
    first, *others = rotation(case)
    session = opened(first)
    assert_weights(session, case)
    differences = compare(session, reference(case), case)
    assert max(differences.values()) < limit, differences
    for optimizer in (first, *others):
        if optimizer is not first:
            session.close()
            session = opened(optimizer)
        losses, weights = train(session)
        expected_losses, expected_weights = trained_reference(case, optimizer)
        assert distance(losses, expected_losses) < limit, optimizer.name
        assert worst(weights, expected_weights)[0] < limit, optimizer.name
    session.close()


def assert_weights(session: Session, case: Case) -> None:
    """Checks that a fresh session holds the weights of its case, to the bit and in their shapes."""
    weights = session.weights()
    assert {name: w.shape for name, w in weights.items()} == case.model.shapes()
    for name, w in case.weights().items():
        np.testing.assert_array_equal(weights[name], w, err_msg=name)


def rotation(case: Case) -> list[OptimizerSpec]:
    """One optimizer for each of three cases or more, several where a cell has fewer; the next cell begins
    with the next optimizer."""
    index, count, first = cases(case.cell).index(case), len(cases(case.cell)), CELLS.index(case.cell)
    numbers = [k for k in range(3) if k % count == index] or [index]
    return [optimizers()[(first + k) % 4] for k in numbers]
