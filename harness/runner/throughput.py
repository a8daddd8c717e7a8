"""Speed alone: updates, then predictions, timed for a few seconds each on random batches; nothing is learnt.

Warm-up and windows are as long in seconds whatever a step takes, so that a run of the smallest model and
one of the largest cost about the same.
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
from harness.measure.statistics import estimate, pooled
from harness.model.initializers import stream
from harness.model.network import ModelSpec
from harness.runner import training
from harness.runner.evaluation import ranges
from harness.runner.protocol import Emit

WINDOWS = 3  # the fewest, unless they would take as many times longer than asked for

Work = Callable[[int], float]  # so many steps -> the seconds that they took


def warm_up(session: Session, config: Config, examples: int, emit: Emit) -> float:
    """Seconds of one steady update. Trains on random batches: the caller puts the weights back."""
    emit("phase", name="warm_up")
    emit("note", text="warming up")
    first, steps, seconds, each = _steady(updates(session, config, examples, "warm-up"), config)
    training.warmed_up(session, emit, first=first, steps=steps, seconds=seconds)
    return each


def measure(
    session: Session, config: Config, model: ModelSpec, counts: tuple[int, int], each: float, emit: Emit
) -> None:
    """Times updates, of which one takes about `each` seconds, and predictions in batches of
    `evaluate.batch_size`; counts are the sequences of the training and test split.

    Raises Diverged at a loss that is not finite: such numbers are not computed at an ordinary speed.
    """
    emit("phase", name="training")
    emit("note", text="timing updates")
    size = config.train.batch_size
    steps, seconds = _windows(updates(session, config, counts[0], "throughput"), each, config)
    emit(
        "update",
        fields=training.speed(config, model, steps, seconds),
        timing={"windows": _raw(steps, seconds, size)},
    )
    emit("phase", name="inference")
    emit("note", text="timing inference")
    size = min(config.evaluate.batch_size, counts[1])
    predictions = _predictions(session, counts[1], size)
    *_, each = _steady(predictions, config)
    steps, seconds = _windows(predictions, each, config)
    figure = estimate(pooled([n * size for n in steps], seconds, config.measure.window_seconds))
    emit(
        "update",
        fields=figure.columns("inference_throughput"),
        timing={"inference_windows": _raw(steps, seconds, size)},
    )


def updates(session: Session, config: Config, examples: int, purpose: str) -> Work:
    rng = stream(config.seed, purpose)

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
    full = [(start, stop) for start, stop in ranges(examples, size) if stop - start == size]

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


def _windows(work: Work, each: float, config: Config) -> tuple[list[int], list[float]]:
    """Steps and seconds of windows, of steps that take about `each` seconds: `measure.seconds` in all."""
    count = max(1, math.ceil(config.measure.window_seconds / max(each, 1e-9)))
    seconds: list[float] = []
    wanted = config.measure.seconds
    while math.fsum(seconds) < (WINDOWS * wanted if len(seconds) < WINDOWS else wanted):
        seconds.append(work(count))
    return [count] * len(seconds), seconds


def _raw(steps: list[int], seconds: list[float], size: int) -> list[dict[str, float]]:
    return [{"steps": n, "sequences": n * size, "seconds": s} for n, s in zip(steps, seconds, strict=True)]
