"""`mode=throughput`: updates, then predictions, are timed for a few seconds each; nothing is learnt.

Warm-up and windows last the same number of seconds however long a step is, so that runs of the smallest and
the largest model cost about the same.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice

import numpy as np

from harness.backends.base import Session
from harness.config.schema import Config
from harness.errors import Diverged
from harness.measure.clock import timed
from harness.measure.contention import ContentionMonitor
from harness.measure.statistics import estimate, pooled
from harness.model.initializers import stream
from harness.runner import proof, training
from harness.runner.context import Context
from harness.runner.evaluation import full_ranges
from harness.runner.protocol import Job, Update

MIN_WINDOWS = 3  # unless they would take as many times longer than `measure.seconds`

Work = Callable[[int], float]  # number of steps -> the seconds that they took


def run(context: Context, job: Job, contention: ContentionMonitor) -> list[bool | None]:
    """Times updates, then predictions in batches of `evaluate.batch_size`.

    Raises Diverged at a loss that is not finite: such numbers are not computed at an ordinary speed.
    """
    step_seconds = warm_up(context)
    proof.restart(context)
    config, session, emit = context.config, context.session, context.emit
    context.begin("training", "timing updates")
    size = config.train.batch_size
    context.energy.begin()
    steps, seconds = _windows(updates(context, "throughput"), step_seconds, config, context.energy.advance)
    joules = context.energy.end()
    energy = context.energy.columns([joules], size * sum(steps), math.fsum(seconds))
    emit(
        Update(
            columns=training.speed(config, steps, seconds) | energy,
            details={"energy": context.energy.details},
            timing={"windows": _raw(steps, seconds, size)},
        )
    )
    count = len(context.dataset.test.labels)
    size = min(config.evaluate.batch_size, count)
    proof.prove_predictions(context, session.predict("test", full_ranges(count, size)[:1]))
    context.begin("inference", "timing inference")
    predictions = _predictions(session, count, size)
    *_, step_seconds = _steady(predictions, config)
    steps, seconds = _windows(predictions, step_seconds, config)
    rates = pooled([n * size for n in steps], seconds, config.measure.window_seconds)
    emit(
        Update(
            columns=estimate(rates).columns("inference_throughput"),
            timing={"inference_windows": _raw(steps, seconds, size)},
        )
    )
    return []


def warm_up(context: Context) -> float:
    """Seconds of one steady update. Trains on random batches: `proof.restart` puts the weights back."""
    context.begin("warm_up", "warming up")
    first, steps, seconds, step_seconds = _steady(updates(context, "warm-up"), context.config)
    training.report_warm_up(context, first=first, steps=steps, seconds=seconds)
    return step_seconds


def updates(context: Context, stream_name: str) -> Work:
    """Training on random batches, drawn from the named random stream."""
    config, session, examples = context.config, context.session, len(context.train_labels)
    rng = stream(config.seed, stream_name)

    def work(count: int) -> float:
        batches = rng.integers(0, examples, (count, config.train.batch_size))
        rates = np.full(count, config.train.learning_rate)
        losses, seconds = timed(session, lambda: session.train(batches, rates))
        if not np.isfinite(losses).all():
            raise Diverged(
                "the training loss was no longer finite on random batches; lower train.learning_rate"
            )
        return seconds

    return work


def _predictions(session: Session, examples: int, size: int) -> Work:
    full = full_ranges(examples, size)

    def work(count: int) -> float:
        batches = list(islice(cycle(full), count))
        return timed(session, partial(session.predict, "test", batches))[1]

    return work


def _steady(work: Work, config: Config) -> tuple[float, int, float, float]:
    """Twice as many steps each time until a window is full.

    Returns the seconds of the first step, how many followed, their seconds, and those of one at the end.
    """
    first = work(1)
    count, steps, seconds = 1, 0, 0.0
    while True:
        spent = work(count)
        steps, seconds = steps + count, seconds + spent
        if seconds >= config.measure.window_seconds:
            return first, steps, seconds, spent / count
        count *= 2


def _windows(
    work: Work, step_seconds: float, config: Config, after_each: Callable[[], None] = lambda: None
) -> tuple[list[int], list[float]]:
    """Steps and seconds of windows, each of at least `measure.window_seconds`, `measure.seconds` in all."""
    count = training.steps_per_window(config, step_seconds)
    seconds: list[float] = []
    wanted = config.measure.seconds
    while math.fsum(seconds) < (MIN_WINDOWS * wanted if len(seconds) < MIN_WINDOWS else wanted):
        seconds.append(work(count))
        after_each()
    return [count] * len(seconds), seconds


def _raw(steps: list[int], seconds: list[float], size: int) -> list[dict[str, float]]:
    return [{"steps": n, "sequences": n * size, "seconds": s} for n, s in zip(steps, seconds, strict=True)]
