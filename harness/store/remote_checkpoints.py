"""Copies of a run's checkpoints beside its results at a URL, so that another machine can resume it.

    <root>/runs/<key>/checkpoint/epoch-00000012.safetensors, then epoch-00000012.json

With results in a local directory these functions do nothing: the checkpoints themselves are there. All
raise StoreError where the filesystem behind the URL fails.
"""

import re
from contextlib import suppress
from pathlib import PurePosixPath

from harness.store import checkpoint, files
from harness.store.checkpoint import Checkpoints
from harness.store.layout import CHECKPOINT
from harness.store.remote import RemoteRoot
from harness.store.roots import open_root

CHECKPOINT_FILE = re.compile(r"(epoch-\d{8})\.(?:safetensors|json)")


def upload(location: str, key: str, epoch: int) -> None:
    """Adds the checkpoint after an epoch, and removes copies older than the local checkpoints."""
    root = open_root(location)
    if not isinstance(root, RemoteRoot):
        return
    local, remote = root.checkpoint_directory(key), _directory(root, key)
    tensors, metadata = checkpoint.paths(local, checkpoint.checkpoint_name(epoch))
    with root.explain_errors("written to"):
        if root.renames:
            root.filesystem.makedirs(remote, exist_ok=True)
        root.filesystem.put_file(str(tensors), f"{remote}/{tensors.name}")
        root.write_file(f"{remote}/{metadata.name}", metadata.read_bytes())
    oldest = min(path.stem for path in local.glob("epoch-*.json"))
    with suppress(Exception):  # the permission to write need not include deleting
        for path, name in _list(root, key):
            if name < oldest:
                root.filesystem.rm_file(path)


def download(location: str, key: str) -> None:
    """Downloads the checkpoints that are newer than the newest valid local one."""
    root = open_root(location)
    if not isinstance(root, RemoteRoot):
        return
    local = root.checkpoint_directory(key)
    newest = Checkpoints(local, key).newest()
    known = checkpoint.checkpoint_name(newest.epoch) if newest else ""
    with root.explain_errors("read"):
        newer = [path for path, name in _list(root, key) if name > known]
        for path in sorted(newer, key=lambda path: path.endswith(".json")):  # the tensors first
            with suppress(FileNotFoundError):  # another machine may have removed it
                content = root.filesystem.cat_file(path)
                local.mkdir(parents=True, exist_ok=True)
                files.write_atomic(local / PurePosixPath(path).name, [content], sync=True)


def remove(location: str, key: str) -> None:
    """Removes all copies, if any."""
    root = open_root(location)
    if isinstance(root, RemoteRoot):
        with root.explain_errors("written to"):
            if root.find_files(_directory(root, key)):
                root.filesystem.rm(_directory(root, key), recursive=True)


def _directory(root: RemoteRoot, key: str) -> str:
    return f"{root.runs}/{key}/{CHECKPOINT}"


def _list(root: RemoteRoot, key: str) -> list[tuple[str, str]]:
    """The remote files, each with the name of its checkpoint."""
    matches = [
        (path, CHECKPOINT_FILE.fullmatch(PurePosixPath(path).name))
        for path in root.find_files(_directory(root, key))
    ]
    return [(path, match[1]) for path, match in matches if match]
