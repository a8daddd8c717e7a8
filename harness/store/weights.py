"""Weights on disk: safetensors under canonical names, with the model's spec as metadata. No pickle.

For a model of your own, in plain PyTorch or Keras, there are the four conversions of `harness.store.convert`.
"""

import hashlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from harness.backends.base import Weights
from harness.errors import WeightsError
from harness.model.network import ModelSpec
from harness.store.convert import (
    from_keras_weights,
    from_torch_state_dict,
    to_keras_weights,
    to_torch_state_dict,
)

__all__ = [
    "fingerprint",
    "from_keras_weights",
    "from_torch_state_dict",
    "load",
    "save",
    "to_keras_weights",
    "to_torch_state_dict",
]


def save(path: Path, weights: Weights, model: ModelSpec) -> None:
    """Writes canonical weights; the file appears whole or not at all."""
    part = path.with_suffix(".part")
    save_file(weights, part, metadata={"model": model.to_json()})
    part.replace(path)


def load(path: Path, model: ModelSpec) -> Weights:
    """Canonical weights for `model`, as stored; raises WeightsError for a file that does not fit it.

    The number of time steps may differ: no weight depends on it.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            metadata = file.metadata() or {}
            found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            _check(path, found, metadata, model)
            return {name: file.get_tensor(name) for name in model.shapes()}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"weights={path}: cannot be read as safetensors: {error}") from error


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's content; raises WeightsError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"weights={path}: cannot be read: {error.strerror}") from error


def _check(path: Path, found: dict[str, tuple[int, ...]], metadata: dict[str, str], model: ModelSpec) -> None:
    shapes = model.shapes()
    for name, shape in shapes.items():
        if name in found and found[name] != shape:
            raise WeightsError(
                f"weights={path}: another model's: {name} is {found[name]} there and {shape} here"
            )
    lacking = [name for name in shapes if name not in found]
    surplus = sorted(set(found) - set(shapes))
    if lacking or surplus:
        parts = []
        if lacking:
            parts.append(f"it lacks {lacking[0]} {shapes[lacking[0]]}" + _more(lacking))
        if surplus:
            parts.append(
                f"it has {surplus[0]} {found[surplus[0]]}, which this model has not" + _more(surplus)
            )
        raise WeightsError(f"weights={path}: another model's: {'; '.join(parts)}")
    if "model" not in metadata:
        return
    try:
        theirs = ModelSpec.from_json(metadata["model"])
    except (ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"weights={path}: what it says about its model cannot be read: {error}") from error
    for key in ("cell", "options", "readout"):
        there, here = getattr(theirs, key), getattr(model, key)
        if there != dict(here) if key == "options" else there != here:
            raise WeightsError(f"weights={path}: another model's: {key} is {there!r} there and {here!r} here")


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
