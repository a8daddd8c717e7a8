"""Warm-up and epochs: windows of steps, each timed as a whole with the device idle at both ends."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from harness.config.schema import Config
from harness.errors import Diverged
from harness.measure.clock import timed
from harness.measure.statistics import estimate, pooled, undisturbed
from harness.model.initializers import stream
from harness.model.optimizer import Schedule
from harness.runner.context import Context
from harness.runner.evaluation import Scores, predict
from harness.runner.protocol import EpochEnd, Phase, Progress, Update

FIRST_LOSSES = 10  # that a record keeps one by one


@dataclass(frozen=True)
class Window:
    """Consecutive steps of one epoch, timed as a whole; `part` is the number of the attempt."""

    epoch: int
    steps: int
    seconds: float
    part: int


@dataclass
class TrainingProgress:
    """How far training is. `part` is the number of the present attempt that trains, from 1."""

    part: int
    windows: list[Window]
    history: list[dict[str, Any]]  # one entry per epoch
    best: float  # validation accuracy
    reached: dict[str, dict[str, Any]]  # "seconds", "epochs" and "steps" until each target, None before
    orders: list[str] = field(default_factory=list)  # SHA-256 of each epoch's order of the training set
    first_losses: list[float] = field(default_factory=list)
    joules: list[float | None] = field(default_factory=list)  # of each epoch, None where that is not known

    @staticmethod
    def begin(config: Config) -> "TrainingProgress":
        """The progress before the first epoch."""
        targets = [str(target) for target in config.measure.targets]
        reached = {unit: dict.fromkeys(targets) for unit in ("seconds", "epochs", "steps")}
        return TrainingProgress(part=1, windows=[], history=[], best=0.0, reached=reached)

    @staticmethod
    def resumed(values: Mapping[str, Any]) -> "TrainingProgress":
        """The progress that an earlier attempt stored with `to_mapping`, for the attempt after it."""
        windows = [Window(**window) for window in values["windows"]]
        unmeasured = [None] * len(values["history"])  # by an earlier version
        more = {"part": values["part"] + 1, "windows": windows, "joules": values.get("joules", unmeasured)}
        return TrainingProgress(**{**values, **more})

    def to_mapping(self) -> dict[str, Any]:
        """The progress as plain data."""
        return asdict(self)

    @property
    def seconds(self) -> float:
        """Seconds of all windows."""
        return math.fsum(window.seconds for window in self.windows)


def train(
    context: Context, progress: TrainingProgress, *, step_seconds: float, keep: Callable[[], None]
) -> None:
    """All epochs that are not done yet. `step_seconds` of the warm-up decides how long windows are;
    `keep()` is called after every `train.checkpoint_epochs`.

    Raises Diverged at the first loss that is not finite.
    """
    config, emit, validation = context.config, context.emit, context.dataset.validation.labels
    size = config.train.batch_size
    steps = len(context.train_labels) // size  # full batches only
    schedule = config.schedule(steps)
    for epoch in range(len(progress.history), config.train.epochs):
        emit(Phase("training"))
        context.session.begin_epoch(epoch)
        order = epoch_order(config, len(context.train_labels), epoch)
        context.energy.begin()
        losses = _epoch(context, progress, schedule, epoch, order, step_seconds)
        progress.joules.append(context.energy.end())
        if epoch == 0:
            progress.first_losses = losses[:FIRST_LOSSES].tolist()
        progress.orders.append(hashlib.sha256(order.astype(np.int64).data).hexdigest())
        emit(Phase("validation"))
        scores = Scores.of(predict(context.session, config, "validation", validation), validation)
        _note_targets(progress, config, scores.accuracy, epoch + 1, steps)
        seconds = math.fsum(window.seconds for window in progress.windows if window.epoch == epoch)
        progress.history.append(
            {
                "epoch": epoch + 1,
                "train_loss": float(losses.mean()),
                "validation_accuracy": scores.accuracy,
                "validation_loss": scores.loss,
                "train_throughput": steps * size / seconds,
                "seconds": seconds,
            }
        )
        every = config.train.checkpoint_epochs
        if every and (epoch + 1) % every == 0:
            emit(Phase("checkpoint"))
            keep()
        report(context, progress, progress.history[-1:])  # the reader of an epoch may end the run


def _note_targets(
    progress: TrainingProgress, config: Config, accuracy: float, epochs: int, steps_per_epoch: int
) -> None:
    """Keeps the best accuracy, and what it took to reach each target for the first time."""
    progress.best = max(progress.best, accuracy)
    spent = {"seconds": progress.seconds, "epochs": epochs, "steps": epochs * steps_per_epoch}
    for target in map(str, config.measure.targets):
        if accuracy >= float(target) and progress.reached["epochs"][target] is None:
            for unit, value in spent.items():
                progress.reached[unit][target] = value


def warm_up(context: Context) -> float:
    """Seconds of one steady step. Trains on random batches: `proof.restart` puts the weights back."""
    config, session = context.config, context.session
    if config.train.epochs == 0:
        return 0.0
    context.begin("warm_up", "warming up")
    size, steps = config.train.batch_size, config.measure.warmup_steps
    rng = stream(config.seed, "warm-up")
    batches = rng.integers(0, len(context.train_labels), (steps + 1, size))
    rates = np.full(steps + 1, config.train.learning_rate)
    _, first = timed(session, lambda: session.train(batches[:1], rates[:1]))
    _, steady = timed(session, lambda: session.train(batches[1:], rates[1:]))
    report_warm_up(context, first=first, steps=steps, seconds=steady)
    return steady / steps


def report_warm_up(context: Context, *, first: float, steps: int, seconds: float) -> None:
    """Reports the seconds of the first call, and those of the steady steps after it."""
    compiling = first - seconds / steps if context.session.implementation == "compiled" else None
    context.emit(
        Update(
            columns={"first_call_seconds": first, "compile_seconds": compiling},
            timing={"first_call_seconds": first, "warm_up": {"steps": steps, "seconds": seconds}},
        )
    )


def epoch_order(config: Config, examples: int, epoch: int) -> np.ndarray:
    """The order (N,) in which an epoch, counted from 0, takes the training set."""
    return stream(config.seed, f"epoch.{epoch}").permutation(examples)


def _epoch(
    context: Context,
    progress: TrainingProgress,
    schedule: Schedule,
    epoch: int,
    order: np.ndarray,
    step_seconds: float,
) -> np.ndarray:
    """Losses (steps,) of one epoch in this order (N,) of the training set; appends its windows."""
    config, session = context.config, context.session
    size, steps = config.train.batch_size, schedule.steps_per_epoch
    batches = order[: steps * size].reshape(steps, size)
    rates = schedule.rates(epoch * steps, steps)
    losses = np.empty(steps)
    for window in split_into_windows(steps, config, step_seconds):
        first, last = window.start, window.stop
        losses[window], seconds = timed(session, partial(session.train, batches[window], rates[window]))
        progress.windows.append(Window(epoch, last - first, seconds, progress.part))
        context.energy.advance()
        if not np.isfinite(losses[window]).all():
            step = first + int(np.argmin(np.isfinite(losses[window])))
            _report_timing(context, progress)
            raise Diverged(
                f"the training loss was {losses[step]} at step {epoch * steps + step} (epoch {epoch + 1})"
            )
        throughput = (last - first) * size / seconds
        remaining = (config.train.epochs * steps - epoch * steps - last) * size
        context.emit(
            Progress(
                epoch=epoch + 1,
                epochs=config.train.epochs,
                step=last,
                steps=steps,
                loss=float(losses[window].mean()),
                throughput=float(throughput),
                seconds_left=float(remaining / throughput),
            )
        )
    return losses


def steps_per_window(config: Config, step_seconds: float) -> int:
    """The number of steps that take `measure.window_seconds`, at least 1."""
    return max(1, math.ceil(config.measure.window_seconds / max(step_seconds, 1e-9)))


def split_into_windows(steps: int, config: Config, step_seconds: float) -> list[slice]:
    """So many steps in windows of near equal length, each full if there are enough steps for one."""
    windows = max(1, steps // steps_per_window(config, step_seconds))
    edges = np.linspace(0, steps, windows + 1).round().astype(int).tolist()
    return [slice(first, last) for first, last in pairwise(edges)]


def report(context: Context, progress: TrainingProgress, epochs: Sequence[dict[str, Any]]) -> None:
    """Reports the training so far, and adds these epochs to the record."""
    last = progress.history[-1]
    sequences = context.config.train.batch_size * sum(window.steps for window in progress.windows)
    energy = context.energy.columns(progress.joules, sequences, progress.seconds)
    context.emit(
        Update(
            columns={
                "train_loss": last["train_loss"],
                "validation_accuracy": last["validation_accuracy"],
                "best_validation_accuracy": progress.best,
                **{f"{unit}_to_target": value for unit, value in progress.reached.items()},
                **energy,
            },
            details={
                "order_sha256": progress.orders,
                "first_losses": progress.first_losses,
                "energy": context.energy.details,
            },
        )
    )
    _report_timing(context, progress)
    for entry in epochs:
        context.emit(EpochEnd(entry))


def speed(config: Config, steps: Sequence[int], seconds: Sequence[float]) -> dict[str, Any]:
    """The columns on training speed, from windows of so many steps that took so many seconds."""
    sequences = [n * config.train.batch_size for n in steps]
    rates = pooled(sequences, seconds, config.measure.window_seconds)
    throughput = estimate(rates)
    return throughput.columns("train_throughput") | {
        **undisturbed(rates),
        "train_seconds": math.fsum(seconds),
    }


def _report_timing(context: Context, progress: TrainingProgress) -> None:
    """Reports the throughput over all windows so far, in sequences/s, and the raw windows."""
    config, windows = context.config, progress.windows
    context.emit(
        Update(
            columns=speed(config, [w.steps for w in windows], [w.seconds for w in windows]),
            timing={
                "windows": [
                    asdict(w) | {"epoch": w.epoch + 1, "sequences": w.steps * config.train.batch_size}
                    for w in windows
                ]
            },
        )
    )
