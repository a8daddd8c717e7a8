"""Warm-up and epochs: windows of steps, each timed as a whole with the device idle at both ends."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from harness.backends.base import Session
from harness.config.schema import Config
from harness.data import Dataset
from harness.errors import Diverged
from harness.measure.clock import timed
from harness.measure.statistics import estimate, pooled
from harness.model.initializers import stream
from harness.model.network import ModelSpec
from harness.model.optimizer import Schedule
from harness.runner.evaluation import Scores, predict
from harness.runner.protocol import Emit


@dataclass(frozen=True)
class Window:
    """Consecutive steps of one epoch: how many, and the seconds they took together. `part` counts the
    attempts at the run that got on with it, from 1."""

    epoch: int
    steps: int
    seconds: float
    part: int


@dataclass
class Course:
    """How training has gone so far, and what the present attempt at the run counts as."""

    part: int
    windows: list[Window]
    history: list[dict[str, Any]]  # one entry per epoch
    best: float  # validation accuracy
    reached: dict[str, dict[str, Any]]  # "seconds", "epochs" and "steps" until each target, None before

    @staticmethod
    def begin(config: Config) -> "Course":
        """Before the first epoch."""
        targets = [str(target) for target in config.measure.targets]
        reached = {unit: dict.fromkeys(targets) for unit in ("seconds", "epochs", "steps")}
        return Course(part=1, windows=[], history=[], best=0.0, reached=reached)

    @staticmethod
    def resumed(values: Mapping[str, Any]) -> "Course":
        """What `to_mapping` gave, as the next attempt finds it."""
        windows = [Window(**window) for window in values["windows"]]
        return Course(**{**values, "part": values["part"] + 1, "windows": windows})

    def to_mapping(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @property
    def seconds(self) -> float:
        """Of all windows."""
        return math.fsum(window.seconds for window in self.windows)


def train(
    session: Session,
    config: Config,
    model: ModelSpec,
    dataset: Dataset,
    course: Course,
    *,
    step_seconds: float,
    keep: Callable[[], None],
    emit: Emit,
) -> None:
    """All epochs that the course has not; `step_seconds` is what a step took in the warm-up, and decides
    the windows. `keep()` is called after every `train.checkpoint_epochs`.

    Raises Diverged at the first loss that is not finite.
    """
    examples, size = len(dataset.train.labels), config.train.batch_size
    steps = examples // size  # full batches only
    per_window = max(1, math.ceil(config.measure.window_seconds / max(step_seconds, 1e-9)))
    schedule = config.schedule(steps)
    for epoch in range(len(course.history), config.train.epochs):
        emit("phase", name="training")
        session.begin_epoch(epoch)
        losses = _epoch(session, config, model, schedule, epoch, examples, per_window, course, emit)
        emit("phase", name="validation")
        scores = Scores.of(
            predict(session, config, "validation", dataset.validation.labels), dataset.validation.labels
        )
        course.best = max(course.best, scores.accuracy)
        at = {"seconds": course.seconds, "epochs": epoch + 1, "steps": (epoch + 1) * steps}
        for target in config.measure.targets:
            if scores.accuracy >= target and course.reached["epochs"][str(target)] is None:
                for unit, value in at.items():
                    course.reached[unit][str(target)] = value
        spent = math.fsum(w.seconds for w in course.windows if w.epoch == epoch)
        course.history.append(
            {
                "epoch": epoch + 1,
                "train_loss": float(losses.mean()),
                "validation_accuracy": scores.accuracy,
                "validation_loss": scores.loss,
                "train_throughput": steps * size / spent,
                "seconds": spent,
            }
        )
        every = config.train.checkpoint_epochs
        if every and (epoch + 1) % every == 0:
            emit("phase", name="checkpoint")
            keep()
        report(config, model, course, course.history[-1:], emit)  # who hears of it may end the run


def warm_up(session: Session, config: Config, examples: int, emit: Emit) -> float:
    """Seconds of one steady step. Trains on random batches: the caller puts the weights back."""
    if config.train.epochs == 0:
        return 0.0
    emit("phase", name="warm_up")
    emit("note", text="warming up")
    size, steps = config.train.batch_size, config.measure.warmup_steps
    rng = stream(config.seed, "warm-up")
    batches = rng.integers(0, examples, (steps + 1, size))
    rates = np.full(steps + 1, config.train.learning_rate)
    _, first = timed(session, lambda: session.train(batches[:1], rates[:1]))
    _, steady = timed(session, lambda: session.train(batches[1:], rates[1:]))
    warmed_up(session, emit, first=first, steps=steps, seconds=steady)
    return steady / steps


def warmed_up(session: Session, emit: Emit, *, first: float, steps: int, seconds: float) -> None:
    """Reports a warm-up: the seconds of the first call, and those of so many steady steps after it."""
    compiling = first - seconds / steps if session.implementation == "compiled" else None
    emit(
        "update",
        fields={"first_call_seconds": first, "compile_seconds": compiling},
        timing={"first_call_seconds": first, "warm_up": {"steps": steps, "seconds": seconds}},
    )


def _epoch(
    session: Session,
    config: Config,
    model: ModelSpec,
    schedule: Schedule,
    epoch: int,
    examples: int,
    per_window: int,
    course: Course,
    emit: Emit,
) -> np.ndarray:
    """Losses (steps,) of one epoch over a fresh permutation; appends its windows."""
    size, steps = config.train.batch_size, schedule.steps_per_epoch
    order = stream(config.seed, f"epoch.{epoch}").permutation(examples)
    batches = order[: steps * size].reshape(steps, size)
    rates = schedule.rates(epoch * steps, steps)
    losses = np.empty(steps)
    edges = np.linspace(0, steps, max(1, steps // per_window) + 1).round().astype(int)
    for first, last in pairwise(edges):
        part = slice(first, last)
        losses[part], seconds = timed(session, partial(session.train, batches[part], rates[part]))
        course.windows.append(Window(epoch, int(last - first), seconds, course.part))
        if not np.isfinite(losses[part]).all():
            at = epoch * steps + int(first + np.argmin(np.isfinite(losses[part])))
            _timing(config, model, course, emit)
            raise Diverged(
                f"the training loss was {losses[at - epoch * steps]} at step {at} (epoch {epoch + 1})"
            )
        rate = (last - first) * size / seconds
        ahead = (config.train.epochs * steps - epoch * steps - last) * size
        emit(
            "progress",
            epoch=epoch + 1,
            epochs=config.train.epochs,
            step=int(last),
            steps=steps,
            loss=float(losses[part].mean()),
            rate=rate,
            left=ahead / rate,
        )
    return losses


def report(
    config: Config, model: ModelSpec, course: Course, epochs: Sequence[Mapping[str, Any]], emit: Emit
) -> None:
    """Says how far a course has come, and adds these epochs of it to the record."""
    last = course.history[-1]
    emit(
        "update",
        fields={
            "train_loss": last["train_loss"],
            "validation_accuracy": last["validation_accuracy"],
            "best_validation_accuracy": course.best,
            **{f"{unit}_to_target": value for unit, value in course.reached.items()},
        },
    )
    _timing(config, model, course, emit)
    for epoch in epochs:
        emit("update", history=epoch)


def speed(
    config: Config, model: ModelSpec, steps: Sequence[int], seconds: Sequence[float]
) -> dict[str, float]:
    """The columns of windows of so many steps, which took so many seconds."""
    work = [n * config.train.batch_size for n in steps]
    figure = estimate(pooled(work, seconds, config.measure.window_seconds))
    return figure.columns("train_throughput") | {
        "train_seconds": math.fsum(seconds),
        "train_flops_per_second": 3 * model.flops_per_sequence * figure.median,
    }


def _timing(config: Config, model: ModelSpec, course: Course, emit: Emit) -> None:
    """Throughput over all windows so far, in sequences/s, and the raw windows."""
    size, windows = config.train.batch_size, course.windows
    emit(
        "update",
        fields=speed(config, model, [w.steps for w in windows], [w.seconds for w in windows]),
        timing={
            "windows": [
                {
                    "epoch": w.epoch + 1,
                    "part": w.part,
                    "steps": w.steps,
                    "sequences": w.steps * size,
                    "seconds": w.seconds,
                }
                for w in windows
            ]
        },
    )
