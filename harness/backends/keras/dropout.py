"""Keras' own dropout as a pure function: its masks depend on the seed, on the epoch and on the update's
number in it alone."""

from collections.abc import Callable
from itertools import count

import keras
import numpy as np
from keras import ops

from harness.backends.keras.engines import Tensor
from harness.model.network import ModelSpec

Drop = Callable[[Tensor], Tensor]


def stream(seed: int, epoch: int) -> int:
    """What `dropout` is to draw by in an epoch. Engines may add it to the number of a draw, so the streams
    are spread out."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0] >> 1)


def dropout(model: ModelSpec) -> Callable[[Tensor, Tensor], Drop]:
    """For a `stream` () and the number () of an update: what drops a share of a layer's outputs, with a
    mask of its own at every call.

    Keras draws from a generator whose state is a variable, (seed, draws so far); a scope puts another
    state in its place.
    """
    generator = keras.random.SeedGenerator(0)
    dtype = generator.state.dtype

    def at(first: Tensor, number: Tensor) -> Drop:
        draws = count()

        def drop(x: Tensor) -> Tensor:
            draw = number * (model.layers - 1) + next(draws)
            state = ops.stack([ops.cast(first, dtype), ops.cast(draw, dtype)])
            with keras.StatelessScope([(generator.state, state)]):
                return keras.random.dropout(x, model.dropout, seed=generator)

        return drop

    return at
