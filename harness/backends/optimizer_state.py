"""An optimiser's state by canonical name: `step`, the updates so far, and `slot.<slot>.<parameter>`."""

from collections.abc import Mapping

import numpy as np

from harness.backends.base import Weights
from harness.model.network import ModelSpec
from harness.model.optimizer import SLOTS, OptimizerSpec


def named(slots: Mapping[str, Weights], step: int) -> Weights:
    """The state, from what every slot holds by canonical parameter."""
    found = {f"slot.{slot}.{name}": array for slot, arrays in slots.items() for name, array in arrays.items()}
    return {"step": np.array(step, np.int64), **found}


def parted(
    state: Mapping[str, np.ndarray], optimizer: OptimizerSpec, model: ModelSpec
) -> tuple[dict[str, Weights], int]:
    """The inverse of `named`: what every slot holds, and the updates so far.

    Raises ValueError for a name too many or too few, and for another shape.
    """
    parameters = model.shapes()
    shapes = {"step": ()} | {
        f"slot.{slot}.{name}": parameters[name] for slot in SLOTS[optimizer.name] for name in parameters
    }
    for name in [*shapes, *state]:
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
