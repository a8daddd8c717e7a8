"""What a run proves of itself: that its session computes, trains and predicts as the reference does.

Each raises ParityFailed where it does not, after the distances have been reported.
"""

from dataclasses import asdict

import numpy as np

from harness.backends.numpy.reference import max_sequences
from harness.runner.context import Context
from harness.runner.parity import gradients, predictions, training
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
    batches = _batches(context)
    starts = training.starts(context.setup, context.initial_weights, batches)
    found = [training.measure(context.session, context.setup, start, batches) for start in starts]
    context.session.put_weights(context.initial_weights)
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
    session, setup, weights = context.session, context.setup, context.initial_weights
    several = session.steps_per_launch
    batches, rates = _first_batches(context, 2 * several + 1)
    found = training.measure_programs(session, setup, weights, batches, rates)
    session.put_weights(weights)
    steps = {"steps": len(rates), "at_once": several}
    context.emit(Update(details={"parity_program": asdict(found) | steps}))
    training.check_limit(found, f"{len(rates)} steps, {several} at once,", "the same steps one by one")


def _batches(context: Context) -> training.Batches:
    batches, rates = _first_batches(context, training.BATCHES)
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
