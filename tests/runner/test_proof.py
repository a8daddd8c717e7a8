"""The proof of what is timed: a session that is wrong in anything ends its run, a right one passes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.config.dataset import open_dataset
from harness.data.dataset import SPLITS
from harness.errors import ParityFailed
from harness.runner import context as contexts
from harness.runner import evaluation, proof, training
from harness.runner.context import Context, prepare
from harness.runner.protocol import Message, Update
from tests.support.configurations import composed
from tests.support.mutants import MUTATIONS, Mutation

SMALL = ("data=digits", "cell=gru", "cell.hidden=8", "train.batch_size=16", "train.epochs=2", "threads=1")
BACKENDS = ["numpy", "torch", pytest.param("keras", marks=pytest.mark.long)]

Columns = dict[str, Any]


@pytest.fixture
def proved(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Columns]:
    """Proves a session as a run does, before and after an epoch's first steps; the columns of its record."""

    def prove(*overrides: str, mutation: Mutation | None = None) -> Columns:
        config = composed(*SMALL, *overrides)
        columns: Columns = {}

        def keep(message: Message) -> None:
            if isinstance(message, Update):
                columns.update(message.columns)

        plain = contexts.open_session
        if mutation:
            monkeypatch.setattr(
                contexts,
                "open_session",
                lambda backend, setup: mutation.open(lambda setup: plain(backend, setup), setup),
            )
        context = prepare(config, open_dataset(config), threads=config.threads or 1, emit=keep)
        monkeypatch.undo()
        for split in SPLITS:
            context.load(split)
        proof.restart(context)
        _train(context)
        proof.prove_predictions(context, evaluation.test_logits(context))
        context.session.close()
        return columns

    return prove


def _train(context: Context) -> None:
    order = training.epoch_order(context.config, len(context.train_labels), 0)
    context.session.train(order[:160].reshape(10, 16), np.full(10, 0.003))


def in_pytorch_alone(name: str) -> bool:
    return "bfloat16" in name


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_wrong_session_is_noticed(proved: Callable[..., Columns], backend: str, name: str) -> None:
    if in_pytorch_alone(name) and backend != "torch":
        pytest.skip(f"{backend} has no bfloat16")
    mutation = MUTATIONS[name]
    with pytest.raises(ParityFailed):
        proved(f"backend={backend}", *mutation.overrides, mutation=mutation)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("train.schedule=cosine", "train.clip_norm=20"),
        ("train.truncate=2", "model.layers=2", "model.dropout=0.2", "train.clip_norm=0.01"),
        ("model.layers=3", "model.bidirectional=true", "model.dropout=0.5", "model.readout=attention"),
    ],
)
def test_a_right_session_passes(
    proved: Callable[..., Columns], backend: str, overrides: tuple[str, ...]
) -> None:
    columns = proved(f"backend={backend}", *overrides)
    assert 0 < columns["parity_update"] < 1e-4
    assert 0 < columns["parity_logits"] < 1e-5


def test_shards_drop_by_streams_of_their_own(proved: Callable[..., Columns]) -> None:
    dropping = ("model.layers=2", "model.dropout=0.2", "train.truncate=4")
    for backend in (("backend=torch", "backend.shards=2"), ("backend=numpy", "train.batch_size=32")):
        columns = proved(*backend, "threads=2", *dropping)
        assert 0 < columns["parity_update"] < 1e-4


def test_the_session_is_as_if_nothing_had_been_trained(proved: Callable[..., Columns]) -> None:
    config = composed(*SMALL, "backend=torch", "model.layers=2", "model.dropout=0.3")
    context = prepare(config, open_dataset(config), threads=1, emit=lambda message: None)
    for split in SPLITS:
        context.load(split)
    _train(context)
    proved_first = context.session
    proof.restart(context)
    assert all(not slot.any() for slot in proved_first.optimizer_state().values())
    after = _weights_after_training(context)
    context.session.put_weights(context.initial_weights)
    assert all(np.array_equal(after[name], w) for name, w in _weights_after_training(context).items())


def _weights_after_training(context: Context) -> dict[str, np.ndarray]:
    _train(context)
    return context.session.weights()
