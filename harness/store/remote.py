"""Results at a URL that fsspec reaches."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.errors import StoreError
from harness.store.layout import RECORD, Attempt, RootLayout, Warn, new_attempt_directory, staging_directory
from harness.text import error_line

DRIVERS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
BATCH = 256  # records that one request reads
# the names that fsspec's filesystems give to what changes with an object's content
VERSION_FIELDS = ("ETag", "etag", "generation", "LastModified", "updated", "mtime", "modified", "created")


class RemoteRoot(RootLayout):
    """A URL that fsspec can open. Attempts are made in a local directory and uploaded at their end."""

    cached_from = 1

    def __init__(self, url: str) -> None:
        import fsspec

        scheme, _, rest = url.partition("://")
        if urlsplit(url).password:
            raise StoreError(
                f"results.root: the {scheme} URL contains a password, which every record would show; "
                f"set it for fsspec as FSSPEC_{scheme.upper()}_PASSWORD in the environment"
            )
        if set(rest) & set("*?["):
            raise StoreError(f"results.root={url}: must not contain * ? [")
        try:
            self.filesystem, base = fsspec.url_to_fs(url)
        except ImportError as error:
            raise StoreError(
                f"results.root={url}: the driver of {scheme} is not installed ({error}); install it: "
                f"pip install -c constraints.txt {DRIVERS.get(scheme, 'PACKAGE')}"
            ) from error
        except Exception as error:
            raise StoreError(
                f"results.root={url}: cannot be used ({error_line(error)}); "
                "allowed: a directory, file://, s3://, gs://, memory:// or another URL that fsspec knows"
            ) from error
        self.name = self.identity = url.rstrip("/")
        self.runs = f"{base.rstrip('/')}/runs"
        self.workspace = self.staging = staging_directory(self.identity)
        # object stores cannot rename, but write an object completely or not at all
        self.renames = type(self.filesystem).mv is not fsspec.AbstractFileSystem.mv

    def check_writable(self) -> None:
        """Raises StoreError where records cannot be written; tries it once in a process."""
        _check_writable(self.name)

    def exists(self) -> bool:
        with self.explain_errors("read"):
            return bool(self.filesystem.exists(self.runs.removesuffix("/runs")))

    def list_attempts(self, warn: Warn, key: str | None = None) -> list[Attempt]:
        """The attempts that have a record, of all runs or of one, in no order."""
        with self.explain_errors("read"):
            infos = self.find_files(self.runs if key is None else f"{self.runs}/{key}")
        attempts = []
        for path, info in infos.items():
            *above, run, name, file = path.split("/")
            if file == RECORD and "/".join(above).strip("/") == self.runs.strip("/"):
                version = [str(info[field]) for field in VERSION_FIELDS if info.get(field) is not None]
                attempts.append(Attempt(run, name, " ".join([str(info.get("size")), *version])))
        return attempts

    def read(self, attempts: Sequence[Attempt], warn: Warn) -> Iterator[tuple[Attempt, bytes]]:
        """The content of each attempt's record; warns of unreadable ones."""
        for first in range(0, len(attempts), BATCH):
            batch = attempts[first : first + BATCH]
            with self.explain_errors("read"):
                contents = self.filesystem.cat([self._path(attempt) for attempt in batch], on_error="return")
            for attempt in batch:
                content = contents.get(self._path(attempt))
                if isinstance(content, bytes):
                    yield attempt, content
                else:
                    warn(f"{self.record_location(attempt)}: not a readable record: {error_line(content)}")

    def _path(self, attempt: Attempt) -> str:
        return f"{self.runs}/{attempt.key}/{attempt.name}/{RECORD}"

    def new_attempt(self, key: str, started: datetime) -> Path:
        """A new local directory for one attempt at a run."""
        stored = [attempt.name for attempt in self.list_attempts(lambda _: None, key)]
        suffix = f"-{os.urandom(3).hex()}"  # two machines may start in the same microsecond
        return new_attempt_directory(self.workspace / "runs" / key, started, stored, suffix=suffix)

    def remove_unfinished(self, key: str) -> None:
        """Does nothing: an attempt is uploaded when it is complete."""

    def publish(self, directory: Path) -> None:
        """Uploads an attempt, its record last, and removes the local directory."""
        target = f"{self.runs}/{directory.parent.name}/{directory.name}"
        if self.renames:
            self.filesystem.makedirs(target, exist_ok=True)
        for file in sorted(directory.iterdir()):
            if file.name != RECORD:
                self.filesystem.put_file(str(file), f"{target}/{file.name}")
        self.write_file(f"{target}/{RECORD}", (directory / RECORD).read_bytes())
        shutil.rmtree(directory)

    def write_file(self, path: str, content: bytes) -> None:
        """Writes a file completely or not at all."""
        if not self.renames:
            self.filesystem.pipe_file(path, content)
            return
        parent, _, name = path.rpartition("/")
        temporary = f"{parent}/.{name}.{os.urandom(8).hex()}"
        try:
            self.filesystem.pipe_file(temporary, content)
            self.filesystem.mv(temporary, path)
        except BaseException:
            if self.filesystem.exists(temporary):
                self.filesystem.rm_file(temporary)
            raise

    def find_files(self, path: str) -> dict[str, Any]:
        """Every file below a path, with what the filesystem knows about it."""
        self.filesystem.invalidate_cache()
        try:
            return dict(self.filesystem.find(path, detail=True))
        except FileNotFoundError:
            return {}

    @contextmanager
    def explain_errors(self, action: str) -> Iterator[None]:
        """Turns any exception of the filesystem into a StoreError: "cannot be <action>"."""
        try:
            yield
        except Exception as error:
            raise StoreError(f"{self.name}: cannot be {action} ({error_line(error)})") from error


@cache
def remote_root(url: str) -> RemoteRoot:
    """The root at a URL, one object for each URL in a process; raises StoreError."""
    return RemoteRoot(url)


@cache
def _check_writable(url: str) -> None:
    """Writes one small object and removes it again."""
    root = remote_root(url)
    try:
        if root.renames:
            root.filesystem.makedirs(root.runs, exist_ok=True)
        root.write_file(f"{root.runs}/.writable", b"results lie here\n")
        with suppress(Exception):  # the permission to write need not include deleting
            root.filesystem.rm_file(f"{root.runs}/.writable")
    except Exception as error:
        raise StoreError(
            f"results.root={url}: cannot be written to ({error_line(error)}); check that it exists, "
            "that your credentials permit writing, and the network"
        ) from error
