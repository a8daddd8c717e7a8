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
from harness.store.layout import RECORD, Document, Layout, Report, _fresh, said, staging

DRIVERS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}


AT_ONCE = 256  # documents asked for together


# what fsspec's filesystems call that which changes with an object's content
VERSIONS = (
    "ETag",
    "etag",
    "generation",
    "LastModified",
    "updated",
    "mtime",
    "modified",
    "created",
)


class Bucket(Layout):
    """A place that fsspec reaches. An attempt is made in a local directory and uploaded at its end."""

    cached_from = 1

    def __init__(self, url: str) -> None:
        import fsspec

        scheme, _, rest = url.partition("://")
        if urlsplit(url).password:
            raise StoreError(
                f"results.root: a URL of {scheme} with a password in it, which every record would show; "
                f"give it to fsspec as FSSPEC_{scheme.upper()}_PASSWORD in the environment"
            )
        if set(rest) & set("*?["):
            raise StoreError(f"results.root={url}: must not contain * ? [")
        try:
            self.files, base = fsspec.url_to_fs(url)
        except ImportError as error:
            raise StoreError(
                f"results.root={url}: the driver of {scheme} is not installed ({error}); install it: "
                f"pip install -c constraints.txt {DRIVERS.get(scheme, 'PACKAGE')}"
            ) from error
        except Exception as error:
            raise StoreError(
                f"results.root={url}: cannot be used ({said(error)}); "
                "allowed: a directory, file://, s3://, gs://, memory:// or another URL that fsspec knows"
            ) from error
        self.name = self.identity = url.rstrip("/")
        self.runs = f"{base.rstrip('/')}/runs"
        self.staging = self.locks = staging(self.identity)
        # a rename of its own; object stores have none, and write an object whole or not at all
        self.renames = type(self.files).mv is not fsspec.AbstractFileSystem.mv

    def prepare(self) -> None:
        """Makes sure, once in a process, that records can be written; raises StoreError."""
        _prove_writable(self.name)

    def exists(self) -> bool:
        with self.explained("read"):
            return bool(self.files.exists(self.runs.removesuffix("/runs")))

    def documents(self, report: Report, key: str | None = None) -> list[Document]:
        """As of a directory."""
        with self.explained("read"):
            infos = self.find(self.runs if key is None else f"{self.runs}/{key}")
        found = []
        for path, info in infos.items():
            *above, run, attempt, name = path.split("/")
            if name == RECORD and "/".join(above).strip("/") == self.runs.strip("/"):
                version = [str(info[word]) for word in VERSIONS if info.get(word) is not None]
                found.append(Document(run, attempt, " ".join([str(info.get("size")), *version])))
        return found

    def read(self, documents: Sequence[Document], report: Report) -> Iterator[tuple[Document, bytes]]:
        """As of a directory; several at once where the filesystem can."""
        for first in range(0, len(documents), AT_ONCE):
            some = documents[first : first + AT_ONCE]
            with self.explained("read"):
                contents = self.files.cat([self._path(document) for document in some], on_error="return")
            for document in some:
                content = contents.get(self._path(document))
                if isinstance(content, bytes):
                    yield document, content
                else:
                    report(f"{self.place(document)}: not a readable record: {said(content)}")

    def _path(self, document: Document) -> str:
        return f"{self.runs}/{document.key}/{document.attempt}/{RECORD}"

    def begin(self, key: str, started: datetime) -> Path:
        """A fresh local directory for one attempt at a run."""
        runs = self.staging / "runs" / key
        runs.mkdir(parents=True, exist_ok=True)
        there = {document.attempt for document in self.documents(lambda _: None, key)}
        there |= {path.name for path in runs.iterdir()}
        # two machines may start in the same microsecond
        return _fresh(runs, started, there, f"-{os.urandom(3).hex()}")

    def tidy(self, key: str) -> None:
        """An attempt comes here when it is whole: nothing is left here of one that is not."""

    def publish(self, directory: Path) -> None:
        """Uploads an attempt, its record last, and removes the local directory."""
        target = f"{self.runs}/{directory.parent.name}/{directory.name}"
        if self.renames:
            self.files.makedirs(target, exist_ok=True)
        for file in sorted(directory.iterdir()):
            if file.name != RECORD:
                self.files.put_file(str(file), f"{target}/{file.name}")
        self.put(f"{target}/{RECORD}", (directory / RECORD).read_bytes())
        shutil.rmtree(directory)

    def put(self, path: str, content: bytes) -> None:
        """Writes a file, whole or not at all."""
        if not self.renames:
            self.files.pipe_file(path, content)
            return
        parent, _, name = path.rpartition("/")
        beside = f"{parent}/.{name}.{os.urandom(8).hex()}"
        try:
            self.files.pipe_file(beside, content)
            self.files.mv(beside, path)
        except BaseException:
            if self.files.exists(beside):
                self.files.rm_file(beside)
            raise

    def find(self, path: str) -> dict[str, Any]:
        """What the filesystem knows of every file below a path, by its own path."""
        self.files.invalidate_cache()
        try:
            return dict(self.files.find(path, detail=True))
        except FileNotFoundError:
            return {}

    @contextmanager
    def explained(self, what: str) -> Iterator[None]:
        """A driver's exceptions, whatever they are, as one StoreError."""
        try:
            yield
        except Exception as error:
            raise StoreError(f"{self.name}: cannot be {what} ({said(error)})") from error


@cache
def _bucket(url: str) -> Bucket:
    return Bucket(url)


@cache
def _prove_writable(url: str) -> None:
    """Writes one small object, and removes it again."""
    bucket = _bucket(url)
    try:
        if bucket.renames:
            bucket.files.makedirs(bucket.runs, exist_ok=True)
        bucket.put(f"{bucket.runs}/.writable", b"results lie here\n")
        with suppress(Exception):  # not everyone who may write may also delete
            bucket.files.rm_file(f"{bucket.runs}/.writable")
    except Exception as error:
        raise StoreError(
            f"results.root={url}: cannot be written to ({said(error)}); check that it exists, that the "
            "credentials are those of someone who may write to it, and the network"
        ) from error
