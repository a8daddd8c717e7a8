"""The updates that a session's `train` makes: the function that is timed, with optimiser, clipping, schedule,
truncation and dropout. What a device makes of several steps in one program is compared with the single steps.

Legend: K batches, B sequences of each, N sequences that they are taken from, T time steps, I input features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from harness.backends.base import Session, Setup, Weights
from harness.backends.numpy.reference import Reference
from harness.errors import ParityFailed
from harness.model.precision import held_in
from harness.runner.parity import loss_scale
from harness.runner.parity.distance import UPDATE_LIMITS, distance, limit_here

BATCHES = 3
CLIPPED = 2.0  # times `clip_norm` that the gradient's norm is made where it would not be clipped
UNLIKELY = 6.0  # standard deviations
STEEPER = [4.0**n for n in range(1, 12)]  # what the readout's weights are multiplied by for that


class Batches(NamedTuple):
    """What is trained on: the N sequences x (N, T, I), y (N,) that the batches name; each batch (K, B) as
    indices into the training set and into x; the learning rates (K,)."""

    x: np.ndarray
    y: np.ndarray
    in_training_set: np.ndarray
    in_x: np.ndarray
    rates: np.ndarray


class Trained(NamedTuple):
    """Losses (K,), and what each update left."""

    losses: np.ndarray
    weights: Weights
    optimizer: Weights


@dataclass(frozen=True)
class TrainingParity:
    """Relative distances after the updates, by canonical name, and the largest of all."""

    losses: float  # ‖Δlosses‖₂ / ‖losses‖₂
    weights: dict[str, float]  # ‖Δw - Δw_ref‖₂ / ‖Δw_ref‖₂, Δw what the updates changed
    slots: dict[str, float]  # of the optimiser: ‖s - s_ref‖₂ / ‖s_ref‖₂
    limit: float = np.inf

    @property
    def named(self) -> dict[str, float]:
        return {"losses": self.losses, **self.weights, **self.slots}

    @property
    def worst(self) -> str:
        return max(self.named, key=lambda name: self.named[name])

    @property
    def largest(self) -> float:
        return self.named[self.worst]


def measure(session: Session, setup: Setup, weights: Weights, batches: Batches) -> TrainingParity:
    """How far K updates from `weights` are from the reference's; leaves the session after them."""
    masks = _masks(session, setup, batches)
    check_masks(masks, setup.model.dropout)
    actual = _trained(session, setup, weights, batches, [slice(None)])
    expected = _reference(setup, weights, batches, masks, "float64")
    found = _compare(actual, expected, setup, weights)

    def in_float32() -> float:
        single = _reference(setup, weights, batches, masks, "float32")
        return _compare(single, expected, setup, weights).largest

    return replace(found, limit=limit_here(UPDATE_LIMITS, setup.precision, found.largest, in_float32))


def measure_programs(session: Session, setup: Setup, weights: Weights, batches: Batches) -> TrainingParity:
    """How far K steps in one call, of which the device makes several as one program, are from the same steps
    in a call each. Leaves the session after them."""
    each = [slice(n, n + 1) for n in range(len(batches.rates))]
    together = _trained(session, setup, weights, batches, [slice(None)])
    expected = _trained(session, setup, weights, batches, each)
    found = _compare(together, expected, setup, weights)

    def in_float32() -> float:
        masks = _masks(session, setup, batches)
        single, double = (
            _reference(setup, weights, batches, masks, precision) for precision in ("float32", "float64")
        )
        return _compare(single, double, setup, weights).largest

    return replace(found, limit=limit_here(UPDATE_LIMITS, setup.precision, found.largest, in_float32))


def updates_of(setup: Setup, steps: int) -> int:
    """How many updates so many steps are: one for every chunk of a sequence."""
    return steps * (setup.model.steps // (setup.truncate or setup.model.steps))


def starts(setup: Setup, weights: Weights, batches: Batches) -> list[Weights]:
    """The weights to train from: the run's own and, where the first batch's gradient would not be clipped
    there, others where it is: a readout so steep that its norm is above `clip_norm`."""
    limit = setup.optimizer.clip_norm
    if limit is None:
        return [weights]
    x, y = batches.x[batches.in_x[0]], batches.y[batches.in_x[0]]
    reference = Reference(setup, weights, batch=len(x))
    for factor in [1.0, *STEEPER]:
        steep = {**weights, "readout.W": weights["readout.W"] * weights["readout.W"].dtype.type(factor)}
        reference.put_weights(steep)
        gradients = reference.gradients(x, y).gradients.values()
        if np.sqrt(sum(float(np.vdot(g, g)) for g in gradients)) > CLIPPED * limit:
            return [weights] if factor == 1.0 else [weights, steep]
    return [weights]


def check_masks(masks: Sequence[np.ndarray], dropout: float) -> None:
    """Raises ParityFailed unless the masks of all updates are 0 for the share that is to be dropped, but for
    what chance does, 1 / (1 - dropout) for the rest, and different."""
    for update, mask in enumerate(masks):
        dropped = float((mask == 0).mean())
        deviation = np.sqrt(dropout * (1 - dropout) / mask.size)
        if abs(dropped - dropout) > UNLIKELY * deviation:
            raise ParityFailed(f"model.dropout={dropout:g}: training drops {dropped:.4f} of the outputs")
        if not np.allclose(mask[mask != 0] * (1 - dropout), 1, atol=1e-2):  # bfloat16 has eight bits
            raise ParityFailed(f"model.dropout={dropout:g}: what is kept is not scaled by 1 / (1 - dropout)")
        if any(np.array_equal(mask, other) for other in masks[:update]):
            raise ParityFailed(f"model.dropout={dropout:g}: two updates drop the same outputs")


def check_limit(
    parity: TrainingParity, what: str = f"{BATCHES} batches of training", expected: str = "the reference"
) -> None:
    """Raises ParityFailed where a distance is above its limit; the message names what is furthest off."""
    if not parity.largest <= parity.limit:
        raise ParityFailed(
            f"{what} are {parity.largest:.1e} from {expected}, above {parity.limit:g} ({parity.worst})"
        )


def _masks(session: Session, setup: Setup, batches: Batches) -> list[np.ndarray]:
    """What the session will drop, update by update; nothing where it drops nothing."""
    if not setup.model.dropout or setup.model.layers == 1:
        return []
    return session.dropout_masks(0, batches.in_x.shape[1], updates_of(setup, len(batches.rates)))


def _trained(
    session: Session, setup: Setup, weights: Weights, batches: Batches, calls: Sequence[slice]
) -> Trained:
    """What the steps leave, made in these calls from `weights`, none skipped for its loss scale."""

    def work() -> np.ndarray:
        return np.concatenate(
            [session.train(batches.in_training_set[call], batches.rates[call]) for call in calls]
        )

    updates = updates_of(setup, len(batches.rates))
    losses, state = loss_scale.make_all(session, weights, work, updates)
    return Trained(losses, session.weights(), state)


def _reference(
    setup: Setup, weights: Weights, batches: Batches, masks: Sequence[np.ndarray], precision: str
) -> Trained:
    reference = Reference(setup, weights, batch=batches.in_x.shape[1], precision=precision)
    reference.load("train", batches.x, batches.y)
    losses = reference.train_dropping(batches.in_x, batches.rates, masks)
    trained = Trained(losses, reference.weights(), reference.optimizer_state())
    reference.close()
    return trained


def _compare(actual: Trained, expected: Trained, setup: Setup, weights: Weights) -> TrainingParity:
    """Weights are rounded after every update, which the smallest of them do not survive: what that may come
    to is not counted."""
    step, rounding = int(expected.optimizer["step"]), float(np.finfo(held_in(setup.precision)).eps) / 2
    changes = {
        name: distance(
            actual.weights[name].astype(np.float64) - start,
            expected.weights[name] - start,
            allowance=step * rounding * float(np.linalg.norm(expected.weights[name])),
        )
        for name, start in weights.items()
    }
    slots = {
        name: distance(actual.optimizer[name], slot)
        for name, slot in expected.optimizer.items()
        if name != "step"
    }
    return TrainingParity(distance(actual.losses, expected.losses), changes, slots)
