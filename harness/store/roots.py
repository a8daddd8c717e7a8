"""The root of results that a path or URL names."""

import os
from pathlib import Path

from harness.errors import StoreError
from harness.measure.directories import expand_user
from harness.store.local import LocalRoot
from harness.store.remote import RemoteRoot, remote_root

Location = str | os.PathLike[str]
Root = LocalRoot | RemoteRoot


def open_root(location: Location) -> Root:
    """The root at a path or URL; raises StoreError for one that cannot be used."""
    path = local_path(location)
    return remote_root(os.fspath(location)) if path is None else LocalRoot(path)


def local_path(location: Location, key: str = "results.root") -> Path | None:
    """The path that a path or a URL of local files names, `~` replaced; None for any other URL.

    Raises StoreError or ConfigError, which name `key`, for one that cannot be used.
    """
    text = os.fspath(location)
    scheme, separator, path = text.partition("://")
    if not separator or "/" in scheme:
        return expand_user(text, key)
    if scheme not in ("file", "local"):
        return None
    if not path.startswith("/"):
        raise StoreError(f"{key}={text}: must be an absolute path: {scheme}:///tmp/results")
    return Path(path)
