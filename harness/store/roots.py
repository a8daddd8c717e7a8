"""Where results lie: a local directory, or a place that fsspec reaches by URL.

Both are laid out alike, and a directory can be copied from one into the other:

    <root>/runs/<key>/<when>/record.json    what is known about the run
                             output.log     everything it printed
                             weights.safetensors
    <root>/runs/<key>/checkpoint/    what a run goes on from, see `harness.store.checkpoint`
"""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import platformdirs

from harness.errors import StoreError

RECORD = "record.json"
LOG = "output.log"
CHECKPOINT = "checkpoint"
STAMP = "%Y%m%dT%H%M%S.%f"
STAMPED = 22  # characters of a stamp
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

# what is told of a document that cannot be used
Report = Callable[[str], None]


class Document(NamedTuple):
    """A record: of which attempt at which run, and a stamp that changes when its content does."""

    key: str
    attempt: str
    stamp: str


class Layout:
    """What all roots have in common: `name` is how a person calls it, `identity` the same for everyone."""

    name: str
    identity: str
    staging: Path
    locks: Path

    def directory(self, document: Document) -> str:
        """Where an attempt lies, as a person would call it."""
        return f"{self.name}/runs/{document.key}/{document.attempt}"

    def place(self, document: Document) -> str:
        return f"{self.directory(document)}/{RECORD}"

    def lock(self, key: str) -> Path:
        """A file to lock while a run is made, the same for all processes of a machine."""
        run = self.locks / "runs" / key
        run.mkdir(parents=True, exist_ok=True)
        return run / ".lock"

    def checkpoint(self, key: str) -> Path:
        """The local directory of a run's checkpoints."""
        return (self.locks / "runs" / key / CHECKPOINT).resolve()


class Directory(Layout):
    """A local directory."""

    cached_from = 200  # so many documents are read in a moment

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.identity = str(path.resolve())
        self.staging = staging(self.identity)
        self.locks = path

    def prepare(self) -> None:
        """Makes sure that records can be written; raises StoreError."""
        try:
            (self.path / "runs").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path / "runs"):
                pass
        except OSError as error:
            raise StoreError(
                f"results.root={self.name}: cannot be written to ({error.strerror}); "
                "choose a directory that can"
            ) from error

    def exists(self) -> bool:
        return os.path.isdir(self.path)  # noqa: PTH112  pathlib's raises at a name that is too long

    def documents(self, report: Report, key: str | None = None) -> list[Document]:
        """All that are there, or those of one run, in no order; what cannot be looked at is reported."""
        runs = os.path.join(self.name, "runs")  # noqa: PTH118  paths as text: there are thousands
        found = []
        for run in [key] if key is not None else _directories(runs, report):
            for attempt in _directories(f"{runs}/{run}", report):
                place = f"{runs}/{run}/{attempt}/{RECORD}"
                try:
                    seen = os.stat(place)  # noqa: PTH116
                except FileNotFoundError:
                    continue  # still being made, or ended with its launcher
                except OSError as error:
                    report(f"{place}: not a readable record: {error.strerror}")
                    continue
                if stat.S_ISREG(seen.st_mode):
                    found.append(Document(run, attempt, f"{seen.st_size} {seen.st_mtime_ns}"))
                else:
                    report(f"{place}: not a readable record: not a file")
        return found

    def read(self, documents: Sequence[Document], report: Report) -> Iterator[tuple[Document, bytes]]:
        """The content of each; what cannot be read is reported."""
        for document in documents:
            try:
                with open(self.place(document), "rb") as file:  # noqa: PTH123
                    content = file.read()
            except OSError as error:
                report(f"{self.place(document)}: not a readable record: {error.strerror}")
                continue
            yield document, content

    def begin(self, key: str, started: datetime) -> Path:
        """A fresh directory for one attempt at a run."""
        runs = self.path / "runs" / key
        runs.mkdir(parents=True, exist_ok=True)
        return _fresh(runs, started, [path.name for path in runs.iterdir()])

    def tidy(self, key: str) -> None:
        """Removes what killed processes left of attempts at a run, but for what they printed."""
        for attempt in (self.path / "runs" / key).iterdir():
            if attempt.name.startswith(".attempt."):
                shutil.rmtree(attempt, ignore_errors=True)
            elif _stamp(attempt.name) and not (attempt / RECORD).exists():
                with suppress(OSError):  # another user's
                    for file in attempt.iterdir():
                        if file.name != LOG or not file.stat().st_size:
                            file.unlink()
                    if not any(attempt.iterdir()):
                        attempt.rmdir()

    def publish(self, directory: Path) -> None:
        """Brings an attempt that was kept elsewhere here, whole; one that was made here stays."""
        target = self.path / "runs" / directory.parent.name / directory.name
        if directory.resolve() == target.resolve():
            return
        if not (target / RECORD).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = tempfile.mkdtemp(prefix=".attempt.", dir=target.parent)
            try:
                shutil.copytree(directory, beside, dirs_exist_ok=True)
                Path(beside).chmod(0o755)
                Path(beside).rename(target)
            except BaseException:
                shutil.rmtree(beside, ignore_errors=True)
                raise
        shutil.rmtree(directory)


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


def staging(name: str) -> Path:
    """Where attempts lie that are not, or not yet, at a root: itself laid out as one."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("harness")) / "staging" / digest


def said(error: object) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _directories(path: str, report: Report) -> list[str]:
    """Names of the directories in a directory that are not hidden; none of one that is not there."""
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.name[0] != "." and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        report(f"{path}: cannot be listed: {error.strerror}")
        return []


def _fresh(runs: Path, started: datetime, there: Iterable[str], suffix: str = "") -> Path:
    """A new directory that is named by its time, and sorts after those there: clocks are moved back."""
    latest = max((stamp for name in there if (stamp := _stamp(name))), default=None)
    moment = started.replace(tzinfo=None)
    if latest is not None and latest >= moment:
        moment = latest + timedelta(microseconds=1)
    while True:
        path = runs / f"{moment.strftime(STAMP)}{suffix}"
        try:
            path.mkdir()
        except FileExistsError:
            moment += timedelta(microseconds=1)
        else:
            return path


def _stamp(name: str) -> datetime | None:
    """The time that an attempt is named by; None for another name, and for the end of all time."""
    if not re.match(r"\d{8}T\d{6}\.\d{6}", name):
        return None
    try:
        found = datetime.strptime(name[:STAMPED], STAMP)
    except ValueError:
        return None
    return found if found.year < datetime.max.year else None
