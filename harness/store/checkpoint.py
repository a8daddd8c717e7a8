"""Checkpoints: what a run needs to resume after an epoch as if it had never been interrupted.

<directory>/epoch-00000012.safetensors   weights and the optimiser's state, by canonical name
            epoch-00000012.json          everything else, with the SHA-256 of both files' contents

No state of random generators is stored: batches and dropout are functions of the seed and the epoch.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import load, save

from harness.backends.base import Weights
from harness.errors import StoreError
from harness.store import files

SCHEMA = 1
KEPT = 2  # checkpoints: one is valid whatever happens to the other


@dataclass(frozen=True)
class Checkpoint:
    """A run after `epoch` epochs: its weights, the state of its optimiser, and its progress as JSON."""

    epoch: int
    weights: Weights
    optimizer: Weights
    progress: dict[str, Any]


class Damaged(Exception):
    """A file that is not a valid checkpoint of this run; says what is wrong with it."""


class Checkpoints:
    """The checkpoints of the run with this key.

    `skipped` has a message for every damaged checkpoint newer than the one that `newest` returned.
    """

    def __init__(self, directory: Path, key: str) -> None:
        self.directory, self.key = directory, key
        self.skipped: list[str] = []
        self.valid: list[str] = []  # the names of checkpoints known to be valid, oldest first

    def newest(self) -> Checkpoint | None:
        """The newest valid checkpoint, or None."""
        for path in sorted(self.directory.glob("epoch-*.json"), reverse=True):
            try:
                checkpoint = self._read(path)
            except Damaged as error:
                self.skipped.append(f"{path}: {error}")
            else:
                self.valid = [path.stem]
                return checkpoint
        return None

    def write(self, checkpoint: Checkpoint) -> None:
        """Adds a checkpoint, completely or not at all, and removes all but the last two.

        Raises StoreError.
        """
        name = checkpoint_name(checkpoint.epoch)
        tensors = save(
            {f"weights.{key}": array for key, array in checkpoint.weights.items()}
            | {f"optimizer.{key}": array for key, array in checkpoint.optimizer.items()}
        )
        values = {
            "schema": SCHEMA,
            "key": self.key,
            "epoch": checkpoint.epoch,
            "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
            "more": checkpoint.progress,
        }
        metadata = json.dumps({**values, "sha256": _digest(values)}, indent=1).encode()
        try:
            self.directory.mkdir(exist_ok=True)
            for path, content in zip(paths(self.directory, name), (tensors, metadata), strict=True):
                files.write_atomic(path, [content], sync=True)
        except OSError as error:
            raise StoreError(
                f"train.checkpoint_epochs: the checkpoint after epoch {checkpoint.epoch} cannot be written "
                f"to {self.directory}: {error.strerror}"
            ) from error
        self.valid = [*(other for other in self.valid if other != name), name][-KEPT:]
        for path in sorted(self.directory.glob("*epoch-*")):  # for each checkpoint the JSON first
            if path.name.partition(".")[0] not in self.valid:
                path.unlink()

    def _read(self, path: Path) -> Checkpoint:
        try:
            values = json.loads(path.read_text("utf-8"))
            tensors = path.with_suffix(".safetensors").read_bytes()
        except (OSError, ValueError) as error:
            raise Damaged(f"not readable: {error}") from error
        schema = values.get("schema") if isinstance(values, dict) else None
        if schema != SCHEMA:
            raise Damaged(f"schema {schema!r} is unknown to this version, which reads schema {SCHEMA}")
        if values.pop("sha256", None) != _digest(values):
            raise Damaged("its content has changed since it was written")
        if values["key"] != self.key:
            raise Damaged(f"belongs to the run {values['key']}, not to {self.key}")
        if values["tensors_sha256"] != hashlib.sha256(tensors).hexdigest():
            raise Damaged("the safetensors file beside it is not the one that was written with it")
        arrays: dict[str, Weights] = {"weights": {}, "optimizer": {}}
        for name, array in load(tensors).items():
            kind, _, key = name.partition(".")
            arrays[kind][key] = array
        return Checkpoint(values["epoch"], **arrays, progress=values["more"])


def checkpoint_name(epoch: int) -> str:
    """The stem of a checkpoint's two files; names sort as epochs do."""
    return f"epoch-{epoch:08d}"


def paths(directory: Path, name: str) -> tuple[Path, Path]:
    """The safetensors and the JSON file of a checkpoint, in the order in which they are written."""
    return directory / f"{name}.safetensors", directory / f"{name}.json"


def remove(directory: Path) -> None:
    """Removes all checkpoints of a run, if any; raises StoreError where that fails."""
    try:
        if directory.exists():
            shutil.rmtree(directory)
    except OSError as error:
        raise StoreError(f"{directory}: cannot be removed: {error.strerror}") from error


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
