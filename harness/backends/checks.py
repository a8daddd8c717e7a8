"""What a session is given, refused before a framework sees it: the same message in every backend.

A framework may read beyond an array, broadcast it, or take a label for another one. Every function returns
its array, or raises ValueError with what was given and what is allowed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.backends.base import States, Weights
from harness.model.network import ModelSpec


def inputs(x: Any, model: ModelSpec, *, any_length: bool = False) -> np.ndarray:
    """x (B, T, I), B at least 1. With `any_length` T may differ from the model's, at least 1, if the cell
    computes step by step."""
    array = _numbers("x", x)
    free = any_length and "stream" not in model.spec.refuses
    steps = "T" if free else model.steps
    allowed = f"x must be (B, {steps}, {model.features}), B{' and T' * free} at least 1"
    fits = array.ndim == 3 and 0 not in array.shape and array.shape[2] == model.features
    if not fits or not (free or array.shape[1] == model.steps):
        raise ValueError(f"x is {array.shape}: {allowed}")
    return array


def labels(y: Any, count: int, model: ModelSpec) -> np.ndarray:
    """y (B,) int64, a class for each of so many sequences."""
    array = np.asarray(y)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise ValueError(f"y is {array.shape} {array.dtype}: y must be ({count},) integers, one per sequence")
    wrong = (array < 0) | (array >= model.classes)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(f"y[{at}] is {array[at]}: classes are 0 … {model.classes - 1}")
    return array.astype(np.int64)


def size(splits: Mapping[str, int], name: str) -> int:
    """How many sequences a split has that was loaded."""
    if name not in splits:
        raise ValueError(f"no split {name!r} is loaded, only {', '.join(splits) or 'none'}")
    return splits[name]


def batches(indices: Any, rates: Any, count: int) -> None:
    """Indices (S, B) of a split of so many sequences, and a rate for each of the S updates."""
    array = np.asarray(indices)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "iu":
        raise ValueError(f"batches are {array.shape} {array.dtype}: must be (S, B) integers")
    if array.min() < 0 or array.max() >= count:
        raise ValueError(f"batches have {array.min()} … {array.max()}: must be within 0 … {count - 1}")
    if np.shape(rates) != (len(array),):
        raise ValueError(f"rates are {np.shape(rates)}: must be ({len(array)},), one per update")


def ranges(parts: Sequence[tuple[int, int]], count: int) -> None:
    """Pairs (start, stop) of rows of a split of so many sequences."""
    for start, stop in parts:
        if not 0 <= start < stop <= count:
            raise ValueError(f"({start}, {stop}): must be rows within 0 … {count}, at least one")
    if not parts:
        raise ValueError("no range of rows is given")


def state_names(names: Iterable[str], known: Mapping[str, int]) -> None:
    """Canonical names of a model's states."""
    for name in names:
        if name not in known:
            raise ValueError(f"{name}: is no state of this model, which has {', '.join(known) or 'none'}")


def states(arrays: Mapping[str, Any], sizes: Mapping[str, int]) -> States:
    """States (B, length) by canonical name."""
    state_names(arrays, sizes)
    checked = {}
    for name, state in arrays.items():
        array = _numbers(name, state)
        if array.ndim != 2 or not len(array) or array.shape[1] != sizes[name]:
            raise ValueError(f"{name}: has shape {array.shape}, must be (B, {sizes[name]}), B at least 1")
        checked[name] = array
    return checked


def weights(arrays: Mapping[str, Any], model: ModelSpec) -> Weights:
    """All parameters of a model by canonical name."""
    expected = model.shapes()
    for name in expected:
        if name not in arrays:
            raise ValueError(f"{name}: is missing")
    for name in arrays:
        if name not in expected:
            raise ValueError(f"{name}: is no parameter of this model")
    checked = {name: _numbers(name, array) for name, array in arrays.items()}
    for name, array in checked.items():
        if array.shape != expected[name]:
            raise ValueError(f"{name}: has shape {array.shape}, must be {expected[name]}")
    return checked


def _numbers(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name}: is no array of numbers: {error}") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {array.dtype}: must be numbers")
    return array
