"""Writing files completely or not at all."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_problem(path: Path) -> str | None:
    """Why a file cannot be written at a path that the user gave; None where no reason is known."""
    try:
        if not path.parent.is_dir():
            return f"{path.parent} is not a directory; create it first"
        if path.is_dir():
            return "is a directory; name a file in it"
        if path.exists() and not path.is_file():
            return "exists and is not a file"
    except OSError as error:  # such as a name that is too long
        return f"cannot be written ({error.strerror})"
    return None


def write_atomic(
    path: Path, parts: Iterable[bytes | memoryview], *, mode: int = 0o644, sync: bool = False
) -> None:
    """Writes the parts one after another to a temporary file in the same directory and renames it to `path`.

    With `sync` the content is on the disk before the renaming, and the new name when this returns. Raises
    OSError, after removing the temporary file.
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
