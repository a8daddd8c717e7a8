"""What an optimiser remembers goes from session to session and from backend to backend; and dropout knows
the epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from harness.backends.base import Session, Setup, Weights
from harness.backends.numpy import backend as numpy_backend
from harness.backends.torch.session import TorchSession
from harness.model.optimizer import SLOTS, OptimizerSpec
from tests.support.parity import BATCH, Case, distance, open_session, optimizers, worst

CASE = Case("gru", layers=2, initial_state="learned")  # its second bias is trained in part
CHUNKS, FROZEN = Case("fir", truncate=4, steps=8), Case("echo_state", layers=2)
Place = tuple[str, str, int]  # backend, implementation, threads
NUMPY, TORCH, KERAS = ("numpy", "loop", 1), ("torch", "fused", 1), ("keras", "fused", 1)
PLACES = [NUMPY, ("numpy", "loop", 3), TORCH, ("torch", "loop", 1), KERAS, ("keras", "compiled", 1)]
SQUARES = [
    *(
        pytest.param(CASE, place, marks=[pytest.mark.long] if place[1] == "compiled" else [])
        for place in PLACES
    ),
    *((CHUNKS, place) for place in (NUMPY, TORCH, KERAS)),
    *((FROZEN, (backend, "loop", 1)) for backend in ("numpy", "torch", "keras")),
]
BATCHES = np.random.default_rng(13).integers(0, 24, (6, BATCH))
RATES = 0.01 * np.linspace(1.0, 0.2, 6)
FIRST, SECOND = slice(0, 3), slice(3, 6)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_backend, "MIN_SHARD_ROWS", 1)


@contextmanager
def opened(case: Case, place: Place, optimizer: OptimizerSpec) -> Iterator[Session]:
    backend, implementation, threads = place
    session = open_session(backend, case, implementation, optimizer, threads)
    yield session
    session.close()


def train(session: Session, part: slice) -> np.ndarray:
    return session.train(BATCHES[part], RATES[part])


def taken(session: Session) -> tuple[Weights, Weights]:
    return session.weights(), session.optimizer_state()


def put(session: Session, weights: Weights, state: Weights) -> None:
    session.put_weights(weights)
    session.put_optimizer_state(state)


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda spec: spec.name)
@pytest.mark.parametrize(("case", "place"), SQUARES, ids=str)
def test_three_updates_and_three_are_six(case: Case, place: Place, optimizer: OptimizerSpec) -> None:
    """Gone on with in a session that has just been opened: from a session of the same backend to the bit,
    and from the reference's."""
    limit = 1e-7 if place[1] == "compiled" else 1e-9
    with opened(case, NUMPY, optimizer) as reference:
        train(reference, FIRST)
        middle = taken(reference)
        expected, end = train(reference, SECOND), taken(reference)
    with opened(case, place, optimizer) as whole:
        train(whole, FIRST)
        own = taken(whole)
        assert worst(own[0], middle[0])[0] < limit
        assert worst(own[1], middle[1])[0] < limit
        losses, weights = train(whole, SECOND), whole.weights()
    assert distance(losses, expected) < limit
    with opened(case, place, optimizer) as fresh:
        put(fresh, *own)
        assert (train(fresh, SECOND) == losses).all()
        assert all((w == weights[name]).all() for name, w in fresh.weights().items())
        put(fresh, *middle)
        assert distance(train(fresh, SECOND), expected) < limit
        assert worst(fresh.weights(), end[0])[0] < limit
        assert worst(fresh.optimizer_state(), end[1])[0] < limit
        fresh.put_weights(middle[0])  # which forgets it all
        assert not any(array.any() for array in fresh.optimizer_state().values())


@pytest.mark.parametrize("place", [NUMPY, TORCH, KERAS], ids=str)
@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda spec: spec.name)
def test_a_state_has_canonical_names_and_is_a_copy(place: Place, optimizer: OptimizerSpec) -> None:
    with opened(CASE, place, optimizer) as session:
        train(session, FIRST)
        state = session.optimizer_state()
        shapes = CASE.model.shapes()
        expected = {f"slot.{slot}.{name}": shapes[name] for slot in SLOTS[optimizer.name] for name in shapes}
        assert {name: array.shape for name, array in state.items()} == {"step": (), **expected}
        assert state["step"] == 3
        assert state["step"].dtype == np.int64
        assert {array.dtype for name, array in state.items() if name != "step"} <= {np.dtype("float64")}
        kept = {name: array.copy() for name, array in state.items()}
        session.put_optimizer_state(state)
        for array in state.values():
            array[...] = 7
        assert all((array == kept[name]).all() for name, array in session.optimizer_state().items())


@pytest.mark.parametrize("place", [NUMPY, TORCH, KERAS], ids=str)
def test_a_state_that_is_not_the_models_is_refused(place: Place) -> None:
    name = "slot.m.layers.0.forward.W_xr"
    with opened(CASE, place, OptimizerSpec("adam")) as session:
        state = session.optimizer_state()
        for wrong, said in (
            ({key: array for key, array in state.items() if key != name}, f"the state lacks {name}"),
            (state | {"slot.m.other": np.zeros(3)}, "the state has slot.m.other"),
            (state | {name: np.zeros(3)}, rf"{name}: has shape \(3,\), must be \(4, 5\)"),
            (
                {key: array for key, array in state.items() if ".m." not in key},
                "it is not that of adam on this model",
            ),
        ):
            with pytest.raises(ValueError, match=said):
                session.put_optimizer_state(wrong)


def test_a_captured_step_finds_the_state_where_it_was() -> None:
    """A CUDA graph knows the slots by their addresses."""
    for optimizer in optimizers():
        with opened(CASE, TORCH, optimizer) as session:
            assert isinstance(session, TorchSession)
            before = [slot.data_ptr() for slot in session._optimizer.slots()]
            train(session, FIRST)
            put(session, *taken(session))
            assert [slot.data_ptr() for slot in session._optimizer.slots()] == before


def dropping(place: Place) -> tuple[Session, Weights]:
    """A session with dropout between its layers, and its weights."""
    backend, implementation, threads = place
    case = Case("gru", layers=3)
    setup = Setup(
        model=replace(case.model, dropout=0.5),
        optimizer=OptimizerSpec("sgd"),
        implementation=implementation,
        precision="float64",
        threads=threads,
        seed=5,
    )
    session: Session = import_module(f"harness.backends.{backend}.backend").open_session(setup)
    session.load("train", *case.data())
    session.put_weights(case.weights())
    return session, case.weights()


@pytest.mark.parametrize("place", [place for place in PLACES if place[1] != "compiled"], ids=str)
def test_what_an_epoch_drops_is_its_own(place: Place) -> None:
    session, weights = dropping(place)
    rates = np.zeros(3)  # the weights stay, so that only the masks tell one loss from another

    def losses() -> list[float]:
        return session.train(np.tile(BATCHES[0], (3, 1)), rates).tolist()

    first = losses()
    session.begin_epoch(1)
    second = losses()
    went_on = losses()
    assert len({*first, *second, *went_on}) == 9
    session.begin_epoch(1)
    assert losses() == second
    assert losses() == went_on
    session.put_weights(weights)
    assert losses() == first
    session.close()
    fresh, _ = dropping(place)
    fresh.begin_epoch(1)
    assert fresh.train(np.tile(BATCHES[0], (3, 1)), rates).tolist() == second
    fresh.close()
