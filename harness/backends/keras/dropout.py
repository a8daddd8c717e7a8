"""Keras' own dropout as a pure function: its masks depend on the seed and on the update's number alone."""

from collections.abc import Callable
from itertools import count

import keras
import numpy as np
from keras import ops

from harness.backends.keras.engines import Tensor
from harness.model import ModelSpec

Drop = Callable[[Tensor], Tensor]


def dropout(model: ModelSpec, seed: int) -> Callable[[Tensor], Drop]:
    """For the number () of an update: what drops a share of a layer's outputs, with a mask of its own
    at every call.

    Keras draws from a generator whose state is a variable, (seed, draws so far); a scope puts another
    state in its place. Engines may add the two numbers, so seeds are spread out.
    """
    first = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
    generator = keras.random.SeedGenerator(first)
    dtype = generator.state.dtype

    def at(number: Tensor) -> Drop:
        draws = count()

        def drop(x: Tensor) -> Tensor:
            draw = number * (model.layers - 1) + next(draws)
            state = ops.stack([ops.cast(first, dtype), ops.cast(draw, dtype)])
            with keras.StatelessScope([(generator.state, state)]):
                return keras.random.dropout(x, model.dropout, seed=generator)

        return drop

    return at
