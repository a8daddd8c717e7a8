"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def hindrance(path: Path) -> str | None:
    """Why a file that a person names could not be written there; None where nothing is known against it."""
    try:
        if not path.parent.is_dir():
            return f"{path.parent} is no directory; make it first"
        if path.is_dir():
            return "is a directory; name a file in it"
        if path.exists() and not path.is_file():
            return "is there already, and is no file"
    except OSError as error:  # such as a name that is too long
        return f"cannot be written ({error.strerror})"
    return None


def write(path: Path, parts: Iterable[bytes | memoryview], *, mode: int = 0o644, sync: bool = False) -> None:
    """Writes the parts one after another beside `path`, and puts the whole in its place.

    With `sync` its content is on the disk before that, and its name when this returns. Raises OSError, and
    then leaves nothing beside.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.writelines(parts)
            file.flush()
            if sync:
                os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    if sync:
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
