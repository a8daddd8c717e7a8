"""Checkpoints: what a run needs to go on after an epoch as if it had never been away.

<directory>/epoch-00000012.safetensors   weights and the optimiser's state, by canonical name
            epoch-00000012.json          everything else, with the SHA-256 of both files' contents

Nothing of a random generator is kept: which sequences make a batch and what is dropped are functions of
the seed and the epoch.
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
KEPT = 2  # generations: one is whole whatever happens to the other


@dataclass(frozen=True)
class Checkpoint:
    """A run after `epoch` epochs: its weights, the state of its optimiser, and what else it has to know,
    as plain data."""

    epoch: int
    weights: Weights
    optimizer: Weights
    more: dict[str, Any]


class Damaged(Exception):
    """A file that is no whole checkpoint of this run; says what is wrong with it."""


class Checkpoints:
    """The checkpoints of the run with this key.

    `passed_over` says of every file that was newer than the one `newest` returned what is wrong with it.
    """

    def __init__(self, directory: Path, key: str) -> None:
        self.directory, self.key = directory, key
        self.passed_over: list[str] = []
        self.whole: list[str] = []  # names of the generations that are known to be, oldest first

    def newest(self) -> Checkpoint | None:
        """The newest whole one, or None."""
        for path in sorted(self.directory.glob("epoch-*.json"), reverse=True):
            try:
                found = self._read(path)
            except Damaged as error:
                self.passed_over.append(f"{path}: {error}")
            else:
                self.whole = [path.stem]
                return found
        return None

    def write(self, checkpoint: Checkpoint) -> None:
        """Adds one, whole or not at all, and removes all but the last two; raises StoreError."""
        name = name_of(checkpoint.epoch)
        tensors = save(
            {f"weights.{key}": array for key, array in checkpoint.weights.items()}
            | {f"optimizer.{key}": array for key, array in checkpoint.optimizer.items()}
        )
        values = {
            "schema": SCHEMA,
            "key": self.key,
            "epoch": checkpoint.epoch,
            "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
            "more": checkpoint.more,
        }
        document = json.dumps({**values, "sha256": _digest(values)}, indent=1).encode()
        try:
            self.directory.mkdir(exist_ok=True)
            for path, content in zip(paths(self.directory, name), (tensors, document), strict=True):
                files.write(path, [content], sync=True)
        except OSError as error:
            raise StoreError(
                f"train.checkpoint_epochs: the checkpoint after epoch {checkpoint.epoch} cannot be written "
                f"to {self.directory}: {error.strerror}"
            ) from error
        self.whole = [*(other for other in self.whole if other != name), name][-KEPT:]
        for path in sorted(self.directory.glob("*epoch-*")):  # of each generation the document first
            if path.name.partition(".")[0] not in self.whole:
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
            raise Damaged("its content is not what was written")
        if values["key"] != self.key:
            raise Damaged(f"is of the run {values['key']}, not of {self.key}")
        if values["tensors_sha256"] != hashlib.sha256(tensors).hexdigest():
            raise Damaged("the safetensors file beside it is not the one that was written with it")
        found: dict[str, Weights] = {"weights": {}, "optimizer": {}}
        for name, array in load(tensors).items():
            kind, _, key = name.partition(".")
            found[kind][key] = array
        return Checkpoint(values["epoch"], **found, more=values["more"])


def name_of(epoch: int) -> str:
    """What the files of a generation are called; of two names the later one is the greater."""
    return f"epoch-{epoch:08d}"


def paths(directory: Path, name: str) -> tuple[Path, Path]:
    """The tensors and the document of a generation, in the order in which they are written."""
    return directory / f"{name}.safetensors", directory / f"{name}.json"


def remove(directory: Path) -> None:
    """Removes all checkpoints of a run, if there are any; raises StoreError where they stay."""
    try:
        if directory.exists():
            shutil.rmtree(directory)
    except OSError as error:
        raise StoreError(f"{directory}: cannot be removed: {error.strerror}") from error


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
