"""The user's own directories: the home that `~` stands for, and the cache."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_dir

from harness.errors import ConfigError, StoreError
from harness.text import one_line


def expand_user(path: str | os.PathLike[str], key: str) -> Path:
    """The path with `~` and `~NAME` at its start replaced by a home directory.

    Raises ConfigError, which names `key`, where there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        name = os.fspath(path).partition("/")[0]
        whose = f"no user is called {name[1:]}" if name != "~" else "this user has none, set HOME"
        raise ConfigError(
            f"{key}={one_line(os.fspath(path), 200)}: ~ is a home directory, and {whose}; "
            "write ./~… for a file of that name"
        ) from error


def cache_directory() -> Path:
    """The directory of this project in the user's cache.

    A user without a home directory has one below the system's temporary directory, which no other user can
    enter; raises StoreError where it belongs to another user.
    """
    try:
        path = Path(user_cache_dir("harness"))
    except RuntimeError:  # there is no home; older versions return a path that begins with ~
        return _temporary_cache()
    return path if path.is_absolute() else _temporary_cache()


@contextmanager
def substitute_home() -> Iterator[None]:
    """Within this context, the cache is the home of a user who has none: some libraries look for a home when
    they are imported, and cannot do without."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(cache_directory())
        try:
            yield
        finally:
            del os.environ["HOME"]
    else:
        yield


def _temporary_cache() -> Path:
    path = Path(tempfile.gettempdir()) / f"harness-cache-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise StoreError(f"{path}: is not this user's own directory; set XDG_CACHE_HOME to one that is")
        path.chmod(0o700)
    except OSError as error:
        raise StoreError(f"{path}: cannot be used ({error.strerror}); set XDG_CACHE_HOME") from error
    return path
