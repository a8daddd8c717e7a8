"""What a run proves of itself: that its session computes, trains and predicts as the reference does.

Each raises ParityFailed where it does not, after the distances have been reported.
"""

from dataclasses import asdict
from functools import partial

import numpy as np

from harness.backends.numpy.reference import max_sequences
from harness.backends.optimizer_state import LOSS_SCALE
from harness.runner.context import Context
from harness.runner.parity import gradients, loss_scale, predictions, training
from harness.runner.parity.distance import LIMITS, distance
from harness.runner.protocol import Update
from harness.runner.training import epoch_order


def restart(context: Context) -> None:
    """Puts the initial weights back, which the warm-up has changed, proves gradients and updates there, and
    puts them back again: the session is then as if nothing had been trained."""
    context.session.put_weights(context.initial_weights)
    context.begin("parity", "comparing with the reference")
    _prove_gradients(context)
    train = context.config.train
    if context.config.mode != "stream" and train.solver == "gradient" and train.epochs:
        _prove_training(context)
        if context.session.steps_per_launch > 1:
            _prove_programs(context)
        if LOSS_SCALE in context.session.optimizer_state():
            _prove_skipping(context)
        context.session.put_weights(context.initial_weights)


def _prove_gradients(context: Context) -> None:
    config, session, setup = context.config, context.session, context.setup
    weights = context.initial_weights
    size = min(config.train.batch_size, max_sequences(context.model))
    x, y = context.sequences("train", slice(size)), context.train_labels[:size]
    parity = gradients.measure(session, setup, weights, x, y)
    context.emit(
        Update(
            columns={"parity_loss": parity.loss, "parity_gradient": parity.gradient},
            details={"parity": asdict(parity)},
        )
    )
    cause = None
    if not parity.within_limit and config.data.normalize == "none":
        cause = gradients.rounding_cause(parity, session, setup, weights, x, y)
    gradients.check_limit(parity, cause)


def _prove_training(context: Context) -> None:
    """Trains on the first batches of epoch 0, at rates of the first, the middle and the last step of the
    schedule."""
    batches = _batches(context, training.BATCHES)
    starts = training.starts(context.setup, context.initial_weights, batches)
    found = [training.measure(context.session, context.setup, start, batches) for start in starts]
    worst = max(found, key=lambda parity: parity.largest / parity.limit)
    context.emit(
        Update(
            columns={"parity_update": worst.largest},
            details={"parity_update": asdict(worst) | {"rates": batches.rates.tolist()}},
        )
    )
    training.check_limit(worst)


def _prove_programs(context: Context) -> None:
    """Compares steps that the device makes several at once with single ones, which the reference proved."""
    several = context.session.steps_per_launch
    batches = _batches(context, 2 * several + 1)
    found = training.measure_programs(context.session, context.setup, context.initial_weights, batches)
    steps = len(batches.rates)
    details = asdict(found) | {"steps": steps, "at_once": several}
    context.emit(Update(details={"parity_program": details}))
    training.check_limit(found, f"{steps} steps, {several} at once,", "the same steps one by one")


def _prove_skipping(context: Context) -> None:
    """Makes a step, and as many as the device makes at once, at loss scales that are too large."""
    session, setup = context.session, context.setup
    for steps in {1, session.steps_per_launch}:
        work = partial(session.train, *_first_batches(context, steps))
        updates = training.updates_of(setup, steps)
        loss_scale.check_skipping(session, context.initial_weights, work, updates)


def _batches(context: Context, count: int) -> training.Batches:
    batches, rates = _first_batches(context, count)
    rows, in_x = np.unique(batches, return_inverse=True)
    x, y = context.sequences("train", rows), context.train_labels[rows]
    return training.Batches(x, y, batches, in_x.reshape(batches.shape), rates)


def _first_batches(context: Context, count: int) -> tuple[np.ndarray, np.ndarray]:
    """So many batches (count, B) of epoch 0, over again where it has fewer, and rates (count,) spread over
    the schedule."""
    config = context.config
    size, examples = config.train.batch_size, len(context.train_labels)
    order = epoch_order(config, examples, 0)
    batches = np.resize(order[: len(order) // size * size][: count * size], (count, size))
    schedule = config.schedule(examples // size)
    steps = np.linspace(0, schedule.total_steps - 1, count).astype(int)
    return batches, np.concatenate([schedule.rates(step, 1) for step in steps])


def prove_latency_predictions(context: Context, single: np.ndarray, logits: np.ndarray) -> None:
    """Compares predictions of one test sequence each (N, C) with those of the same sequences in batches,
    which the reference proved; with the reference itself where the two are further apart than its limit."""
    if not distance(single, logits) <= LIMITS[context.config.precision]:
        weights, x = context.session.weights(), context.sequences("test", slice(len(single)))
        predictions.check_limit(predictions.measure(context.setup, weights, x, single))


def prove_predictions(context: Context, logits: np.ndarray) -> None:
    """Compares some of the test set's logits (N, C), in its order, with the reference at the present
    weights."""
    context.begin("parity", "comparing with the reference")
    rows = predictions.rows(len(logits))
    weights, x = context.session.weights(), context.sequences("test", rows)
    parity = predictions.measure(context.setup, weights, x, logits[rows])
    context.emit(Update(columns={"parity_logits": parity.logits}, details={"parity_logits": asdict(parity)}))
    predictions.check_limit(parity)
