"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


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
