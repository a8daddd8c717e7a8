"""Where results lie: a local directory, or a place that fsspec reaches by URL.

Both are laid out alike, and a directory can be copied from one into the other:

    <root>/runs/<key>/<when>/record.json    what is known about the run
                             output.log     everything it printed
                             weights.safetensors
    <root>/runs/<key>/checkpoint/    what a run goes on from, see `harness.store.checkpoint`
"""

import os
from pathlib import Path

from harness.errors import StoreError
from harness.store.local import Directory
from harness.store.remote import Bucket, _bucket

Root = Directory | Bucket


def root(where: str | os.PathLike[str]) -> Root:
    """The place that a path or URL names; raises StoreError for one that cannot be used."""
    path = local(where)
    return _bucket(os.fspath(where)) if path is None else Directory(path)


def local(where: str | os.PathLike[str]) -> Path | None:
    """The directory that a path or a URL of this machine's own files names; None for another URL."""
    text = os.fspath(where)
    scheme, found, path = text.partition("://")
    if not found or "/" in scheme:
        return Path(text)
    if scheme not in ("file", "local"):
        return None
    if not path.startswith("/"):
        raise StoreError(f"results.root={text}: must be an absolute path: {scheme}:///tmp/results")
    return Path(path)
