"""Writing files completely or not at all."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness.errors import HarnessError


class OutputError(HarnessError):
    """A file that the user named and that cannot be written; the message says why."""


def check_output(path: Path, option: str = "") -> None:
    """Raises OutputError if a file cannot be written at the path that the user gave with an option, so far as
    this can be known before the work is done."""
    try:
        if not path.parent.is_dir():
            raise _unwritable(path, option, f"{path.parent} is not a directory; create it first")
        if path.is_dir():
            raise _unwritable(path, option, "is a directory; name a file in it")
        if path.exists() and not path.is_file():
            raise _unwritable(path, option, "exists and is not a file")
    except OSError as error:  # such as a name that is too long
        raise _unwritable(path, option, f"cannot be written ({error.strerror})") from error


def write_output(path: Path, content: bytes, option: str = "") -> None:
    """Writes a file that the user named, completely or not at all; raises OutputError."""
    check_output(path, option)
    try:
        write_atomic(path, [content])
    except OSError as error:
        raise _unwritable(path, option, f"cannot be written ({error.strerror})") from error


def _unwritable(path: Path, option: str, reason: str) -> OutputError:
    return OutputError(f"{option} {path}: {reason}".lstrip())


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
