"""`mode=stream`: sequences arrive one step at a time, the state is carried, every step gives a prediction."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from harness.backends.base import Session, Weights
from harness.errors import ParityFailed
from harness.measure.clock import timed
from harness.measure.contention import ContentionMonitor
from harness.model.initializers import stream as random_stream
from harness.model.network import ModelSpec
from harness.runner import proof
from harness.runner.context import Context
from harness.runner.evaluation import ranges
from harness.runner.parity import predictions
from harness.runner.parity.distance import limit_here
from harness.runner.protocol import Job, Update

# largest allowed difference between predictions step by step and at once, relative to the largest logit
LIMITS = {"float32": 1e-5, "float64": 1e-5, "tf32": 5e-3, "bfloat16": 5e-2, "float16": 1e-2}
SINGLE = 40  # sequences that are streamed one by one


class Readout:
    """The model's readout over the outputs so far, one step more at a time; `last` needs none.

    The sum or the largest is kept; of an attention Σ e^{s_t} y_t and Σ e^{s_t} of the scores s_t, scaled
    by the largest score so far.
    """

    def __init__(self, model: ModelSpec, weights: Weights) -> None:
        self.kind = model.readout
        self.w = {name: array.astype(np.float64) for name, array in weights.items()}
        self.kept = np.zeros(model.width)  # Σ y, the largest y, or Σ e^s y
        self.total = np.zeros(1)  # how many y, or Σ e^s
        self.largest = np.full(1, -np.inf)
        if self.kind == "max":
            self.kept = np.full(model.width, -np.inf)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Logits (B, C) after one more output y (B, D·H)."""
        y = y.astype(np.float64)
        if self.kind == "max":
            features = self.kept = np.maximum(self.kept, y)
        else:
            share, old = np.ones(len(y)), np.ones(1)
            if self.kind == "attention":
                s = np.tanh(y @ self.w["attention.W"] + self.w["attention.b"]) @ self.w["attention.v"]
                largest = np.maximum(self.largest, s)
                share, old, self.largest = np.exp(s - largest), np.exp(self.largest - largest), largest
            self.kept = old[:, None] * self.kept + share[:, None] * y
            self.total = old * self.total + share
            features = self.kept / self.total[:, None]
        return features @ self.w["readout.W"] + self.w["readout.b"]


class Stream:
    """A batch of sequences, fed step by step through a session that carries their states."""

    def __init__(self, session: Session, model: ModelSpec) -> None:
        session.reset()
        self.session = session
        self.readout = None if model.readout == "last" else Readout(model, session.weights())

    def feed(self, x: np.ndarray) -> np.ndarray:
        """Logits (B, C) after one more step x (B, I)."""
        if self.readout is None:
            return self.session.read_on(x[:, None])
        return self.readout(self.session.read_on(x[:, None], sequence=True)[:, 0])


def run(context: Context, job: Job, contention: ContentionMonitor) -> list[bool | None]:
    """Streams the test split: all of it in batches, a few sequences one by one.

    Records the accuracy after every step, the latency of a step, and how far the last predictions are from
    those of whole sequences at once. Raises ParityFailed where that is above `limit`.
    """
    proof.restart(context)
    config, session, model = context.config, context.session, context.model
    x, y = context.sequences("test"), context.dataset.test.labels
    size = min(config.evaluate.batch_size, len(x))
    rows = random_stream(config.seed, "stream").permutation(len(x))[:SINGLE]
    at_once = session.predict("test", ranges(len(x), size))
    proof.prove_predictions(context, at_once)
    context.begin("streaming", "streaming")
    one_by_one, single = _stream(session, model, x[rows], 1)
    in_batches, batched = _stream(session, model, x, size)
    difference = max(_distance(one_by_one[-1], at_once[rows]), _distance(in_batches[-1], at_once))
    correct = in_batches.argmax(axis=2) == y
    p50, p99 = np.percentile(single, [50, 99])

    def in_float32() -> float:
        return predictions.rounding(context.setup, session.weights(), x[rows], _distance)

    allowed = limit(config.precision, session.device, difference, in_float32)
    context.emit(
        Update(
            columns={
                "test_accuracy": float(correct[-1].mean()),
                "step_latency_p50_seconds": float(p50),
                "step_latency_p99_seconds": float(p99),
            },
            details={
                "accuracy_after_step": correct.mean(axis=1).tolist(),
                "stream_difference": difference,
                "stream_limit": allowed,
                "stream_latency": [_latency(1, single), _latency(size, batched)],
            },
            timing={"step_latency_seconds": {"1": single, str(size): batched}},
        )
    )
    if not difference <= allowed:
        raise ParityFailed(
            f"predictions step by step differ from those of whole sequences by {difference:.1e} of the "
            f"largest logit, above {allowed:g}"
        )
    return []


def limit(precision: str, device: str, difference: float, in_float32: Callable[[], float]) -> float:
    """The largest difference that is allowed where this one was found.

    A GPU has other kernels for one step than for many, and each adds in an order of its own. What that comes
    to depends on the model: `in_float32()` is how far the reference is from itself in float32, see
    `harness.runner.parity.distance.limit_here`.
    """
    return LIMITS[precision] if device == "cpu" else limit_here(LIMITS, precision, difference, in_float32)


def _stream(session: Session, model: ModelSpec, x: np.ndarray, size: int) -> tuple[np.ndarray, list[float]]:
    """Logits (T, N, C) of x (N, T, I) in batches of `size`, and the seconds of every step of a full one."""
    logits: list[np.ndarray] = []
    seconds: list[float] = []
    _feed(session, model, x[:size])  # the cost of a first call is not a step's latency
    for start, stop in ranges(len(x), size):
        of_batch, spent = _feed(session, model, x[start:stop])
        logits.append(of_batch)
        seconds += spent if stop - start == size else []
    return np.concatenate(logits, axis=1), seconds


def _feed(session: Session, model: ModelSpec, x: np.ndarray) -> tuple[np.ndarray, list[float]]:
    batch = Stream(session, model)
    steps = [timed(session, partial(batch.feed, x[:, t])) for t in range(x.shape[1])]
    return np.stack([logits for logits, _ in steps]), [spent for _, spent in steps]


def _latency(size: int, seconds: list[float]) -> dict[str, Any]:
    p50, p99 = np.percentile(seconds, [50, 99])
    return {"batch_size": size, "p50_seconds": float(p50), "p99_seconds": float(p99), "steps": len(seconds)}


def _distance(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.max(np.abs(actual - expected)) / np.max(np.abs(expected)))
