"""Filesystems for tests, kept in a local directory: `here` is like an object store, which has no rename;
`moved` has one. Both count on nothing else than what fsspec asks of a filesystem."""

import errno
import os
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem


class Here(LocalFileSystem):
    """Objects: nothing is moved. While a file FULL lies beside `runs`, records do not fit in."""

    protocol = "here"
    mv = AbstractFileSystem.mv

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return str(super()._strip_protocol(os.fspath(path).removeprefix(f"{cls.protocol}://")))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        path = self._strip_protocol(path)
        root = Path(path.partition("/runs/")[0])
        if (root / "FULL").exists() and not path.endswith(".writable"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        super().pipe_file(path, value, mode, **kwargs)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        Path(self._strip_protocol(rpath)).parent.mkdir(parents=True, exist_ok=True)
        super().put_file(lpath, rpath, **kwargs)


class Moved(Here):
    """A filesystem with a rename: a document is written beside and moved."""

    protocol = "moved"
    moves: list[tuple[str, str]] = []  # noqa: RUF012

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        self.moves.append((path1, path2))
        Path(self._strip_protocol(path1)).rename(self._strip_protocol(path2))


REGISTER = """
import fsspec
fsspec.register_implementation("here", "tests.support.here.Here")
fsspec.register_implementation("moved", "tests.support.here.Moved")
"""
