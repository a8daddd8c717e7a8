"""Weights on disk: safetensors under canonical names, with the model's spec as metadata. No pickle.

They can be converted from and to models of your own in plain PyTorch or Keras.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from harness.backends.base import Weights
from harness.backends.keras.plain_model import from_keras_weights, to_keras_weights
from harness.backends.torch.plain_model import from_torch_state_dict, to_torch_state_dict
from harness.errors import WeightsError
from harness.measure.directories import expand_user
from harness.model.network import ModelSpec

__all__ = [
    "check",
    "fingerprint",
    "from_keras_weights",
    "from_torch_state_dict",
    "load",
    "save",
    "to_keras_weights",
    "to_torch_state_dict",
]


def save(path: Path, weights: Weights, model: ModelSpec) -> None:
    """Writes canonical weights, completely or not at all."""
    temporary = path.with_suffix(".part")
    save_file(weights, temporary, metadata={"model": model.to_json()})
    temporary.replace(path)


def load(path: Path, model: ModelSpec) -> Weights:
    """Canonical weights for `model`, as stored; raises WeightsError for a file that does not fit it.

    The number of time steps may differ: no weight depends on it. `~` in the path is the user's home.
    """
    with _open_checked(path, model) as file:
        return {name: file.get_tensor(name) for name in model.shapes()}


def check(path: Path, model: ModelSpec) -> None:
    """Raises WeightsError for a file that `load` would refuse; reads no weights."""
    _open_binary(path).close()
    with _open_checked(path, model):
        pass


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's content; raises WeightsError where it cannot be read."""
    with _open_binary(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_binary(path: Path) -> BufferedReader:
    try:
        return expand_user(path, "weights").open("rb")
    except OSError as error:
        raise WeightsError(f"weights={path}: cannot be read: {error.strerror}") from error


@contextmanager
def _open_checked(path: Path, model: ModelSpec) -> Iterator[Any]:
    """The open file, of which names, shapes and metadata are those of `model`."""
    try:
        with safe_open(expand_user(path, "weights"), framework="numpy") as file:
            names = set(file.keys())
            metadata = file.metadata() or {}
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            _check_model(path, shapes, metadata, model)
            yield file
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"weights={path}: cannot be read as safetensors: {error}") from error


def _check_model(
    path: Path, stored: dict[str, tuple[int, ...]], metadata: dict[str, str], model: ModelSpec
) -> None:
    """Raises WeightsError where the stored shapes or the metadata are those of another model."""
    shapes = model.shapes()
    for name, shape in shapes.items():
        if name in stored and stored[name] != shape:
            raise _other_model(path, f"{name} is {stored[name]} there and {shape} here")
    missing = [name for name in shapes if name not in stored]
    unknown = sorted(set(stored) - set(shapes))
    problems = []
    if missing:
        problems.append(f"it lacks {missing[0]} {shapes[missing[0]]}" + _more(missing))
    if unknown:
        problems.append(
            f"it has {unknown[0]} {stored[unknown[0]]}, which this model has not" + _more(unknown)
        )
    if problems:
        raise _other_model(path, "; ".join(problems))
    if "model" not in metadata:
        return
    try:
        theirs = ModelSpec.from_json(metadata["model"])
    except (ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"weights={path}: the model in its metadata cannot be read: {error}") from error
    for key in ("cell", "options", "readout"):
        there, here = getattr(theirs, key), getattr(model, key)
        if there != dict(here) if key == "options" else there != here:
            raise _other_model(path, f"{key} is {there!r} there and {here!r} here")


def _other_model(path: Path, difference: str) -> WeightsError:
    return WeightsError(f"weights={path}: another model's: {difference}")


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
