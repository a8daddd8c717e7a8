"""Copies of a run's checkpoints beside its results at a URL, so that another machine can go on from them.

    <root>/runs/<key>/checkpoint/epoch-00000012.safetensors, then epoch-00000012.json

Results in a local directory need none: the checkpoints themselves lie there. Everything here raises
StoreError for what a driver refuses.
"""

import re
from contextlib import suppress
from pathlib import PurePosixPath

from harness.store import checkpoint, files
from harness.store.checkpoint import Checkpoints
from harness.store.layout import CHECKPOINT
from harness.store.remote import Bucket
from harness.store.roots import root

NAME = re.compile(r"(epoch-\d{8})\.(?:safetensors|json)")


def upload(where: str, key: str, epoch: int) -> None:
    """Adds the checkpoint after an epoch, and removes what is older than those that are kept here."""
    place = root(where)
    if not isinstance(place, Bucket):
        return
    here, there = place.checkpoint(key), _directory(place, key)
    tensors, document = checkpoint.paths(here, checkpoint.name_of(epoch))
    with place.explained("written to"):
        if place.renames:
            place.files.makedirs(there, exist_ok=True)
        place.files.put_file(str(tensors), f"{there}/{tensors.name}")
        place.put(f"{there}/{document.name}", document.read_bytes())
    oldest = min(path.stem for path in here.glob("epoch-*.json"))
    with suppress(Exception):  # not everyone who may write may also delete
        for path, name in _generations(place, key):
            if name < oldest:
                place.files.rm_file(path)


def fetch(where: str, key: str) -> None:
    """Brings here what is newer than the newest whole checkpoint that is here."""
    place = root(where)
    if not isinstance(place, Bucket):
        return
    here = place.checkpoint(key)
    newest = Checkpoints(here, key).newest()
    known = checkpoint.name_of(newest.epoch) if newest else ""
    with place.explained("read"):
        newer = [path for path, name in _generations(place, key) if name > known]
        for path in sorted(newer, key=lambda path: path.endswith(".json")):  # documents last
            with suppress(FileNotFoundError):  # another machine has removed it since
                content = place.files.cat_file(path)
                here.mkdir(parents=True, exist_ok=True)
                files.write(here / PurePosixPath(path).name, [content], sync=True)


def remove(where: str, key: str) -> None:
    """Removes all of them, if there are any."""
    place = root(where)
    if isinstance(place, Bucket):
        with place.explained("written to"):
            if place.find(_directory(place, key)):
                place.files.rm(_directory(place, key), recursive=True)


def _directory(place: Bucket, key: str) -> str:
    return f"{place.runs}/{key}/{CHECKPOINT}"


def _generations(place: Bucket, key: str) -> list[tuple[str, str]]:
    """The files there, each with the name of its generation."""
    found = [(path, NAME.fullmatch(PurePosixPath(path).name)) for path in place.find(_directory(place, key))]
    return [(path, match[1]) for path, match in found if match]
