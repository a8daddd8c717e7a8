"""An optimiser's state by canonical name: `step`, the updates so far, and `slot.<slot>.<parameter>`; of a
session that scales its losses also `loss_scale.<name>`."""

from collections.abc import Mapping

import numpy as np

from harness.backends.base import Weights
from harness.model.network import ModelSpec
from harness.model.optimizer import SLOTS, OptimizerSpec

PREFIX = "loss_scale."
LOSS_SCALE = f"{PREFIX}scale"
SKIPPED = f"{PREFIX}skipped_updates"


def to_canonical(slots: Mapping[str, Weights], step: int) -> Weights:
    """The state of an optimiser after `step` updates, from the arrays of each slot by canonical parameter."""
    arrays = {f"slot.{slot}.{name}": a for slot, by_name in slots.items() for name, a in by_name.items()}
    return {"step": np.array(step, np.int64), **arrays}


def from_canonical(
    state: Mapping[str, np.ndarray], optimizer: OptimizerSpec, model: ModelSpec
) -> tuple[dict[str, Weights], int]:
    """The inverse of `to_canonical`: the arrays of each slot, and the number of updates so far.

    A loss scale is left out: only a session that scales its losses has one. Raises ValueError for a name too
    many or too few, and for another shape.
    """
    parameters = model.shapes()
    shapes = {"step": ()} | {
        f"slot.{slot}.{name}": parameters[name] for slot in SLOTS[optimizer.name] for name in parameters
    }
    for name in [*shapes, *(name for name in state if not name.startswith(PREFIX))]:
        if name not in state or name not in shapes:
            has = "lacks" if name not in state else "has"
            raise ValueError(f"the state {has} {name}: it is not that of {optimizer.name} on this model")
        if np.shape(state[name]) != shapes[name]:
            raise ValueError(f"{name}: has shape {np.shape(state[name])}, must be {shapes[name]}")
    slots = {
        slot: {name: np.asarray(state[f"slot.{slot}.{name}"]) for name in parameters}
        for slot in SLOTS[optimizer.name]
    }
    return slots, int(state["step"])
