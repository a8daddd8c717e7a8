"""Weights on disk: safetensors under canonical names, with the model's spec as metadata. No pickle.

They can be converted from and to models of your own in plain PyTorch or Keras.
"""

import hashlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from harness.backends.base import Weights
from harness.backends.keras.plain_model import from_keras_weights, to_keras_weights
from harness.backends.torch.plain_model import from_torch_state_dict, to_torch_state_dict
from harness.errors import WeightsError
from harness.model.network import ModelSpec

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
    """Writes canonical weights, completely or not at all."""
    temporary = path.with_suffix(".part")
    save_file(weights, temporary, metadata={"model": model.to_json()})
    temporary.replace(path)


def load(path: Path, model: ModelSpec) -> Weights:
    """Canonical weights for `model`, as stored; raises WeightsError for a file that does not fit it.

    The number of time steps may differ: no weight depends on it.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            metadata = file.metadata() or {}
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            _check_model(path, shapes, metadata, model)
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
