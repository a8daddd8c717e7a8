"""Downloads what is missing: mirrors in turn, resumable, verified, moved into place in one step."""

import contextlib
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from harness.data import idx
from harness.data.mnist import Collection, DataFile, collection
from harness.errors import DataError

CONNECT_SECONDS = 3.05  # requests advises a little more than a multiple of 3, TCP's first retry
READ_SECONDS = 15.0
CHUNK_BYTES = 1 << 16


def fetch_missing(
    name: str,
    root: Path,
    *,
    download: bool = True,
    progress: bool = False,
    mirrors: Sequence[str] | None = None,
) -> tuple[Path, ...]:
    """Brings the files of dataset `name` that are not below `root` there; returns those it brought.

    Files that are there are left alone, whatever is in them. `mirrors` (addresses that end with a slash)
    replaces the catalog's. Raises DataError, naming the files and where to put them, when something is
    missing and cannot be had; what was complete by then stays, what was half done is continued next time.
    """
    files = collection(name)
    if files is None:
        return ()
    if mirrors is not None:
        files = replace(files, mirrors=tuple(mirrors))
    return fetch(files, root, download=download, progress=progress)


def fetch(files: Collection, root: Path, *, download: bool, progress: bool) -> tuple[Path, ...]:
    """`fetch_missing` for any collection."""
    missing = files.missing(root)
    if not missing:
        return ()
    if not download:
        raise absent(files, root, "data.download=false, so they were not fetched.")
    folder = files.folder(root)
    mirrors = list(files.mirrors)
    fetched = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder, progress=progress):
            for file in files.missing(root):  # asked again: another process may have just brought them
                failures = _from_any(mirrors, file, folder, progress=progress)
                if failures is not None:
                    raise absent(files, root, "No mirror could provide them:", *failures)
                fetched.append(folder / file.name)
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"data.root={root}: {folder} cannot be written ({reason}).") from error
    return tuple(fetched)


def absent(files: Collection, root: Path, *why: str) -> DataError:
    """The error for files that are not there: what is missing, why, and what a person can do about it."""
    missing = files.missing(root)
    folder = files.folder(root)
    of = f"{len(missing)} of the {len(files.files)} files of {files.name}"
    lines = [f"{of} {'is' if len(missing) == 1 else 'are'} missing. {why[0]}"]
    lines += [f"  {line}" for line in why[1:]]
    lines += ["Put there by hand:", *(f"  {folder / file.name}" for file in missing)]
    lines += ["or choose data=digits, which needs no files."]
    return DataError("\n".join(lines))


def _from_any(mirrors: list[str], file: DataFile, folder: Path, *, progress: bool) -> list[str] | None:
    """Moves `file` into `folder` from the first mirror that has it; what each said if none has.

    A mirror that fails goes to the end of `mirrors`, so that the next file does not wait for it again.
    """
    import requests

    failures = []
    for mirror in tuple(mirrors):
        url = mirror + file.name
        part = folder / f"{file.name}.{zlib.crc32(url.encode()):08x}.part"  # mirrors compress differently
        try:
            _bring(url, part, file, progress=progress)
        except DataError as error:
            failures.append(str(error))
        except (requests.RequestException, ValueError) as error:
            failures.append(f"{url}: {_reason(error)}")
        else:
            part.replace(folder / file.name)
            for stale in folder.glob(f"{file.name}.*.part"):
                stale.unlink(missing_ok=True)
            return None
        mirrors.remove(mirror)
        mirrors.append(mirror)
    return failures


def _bring(url: str, part: Path, file: DataFile, *, progress: bool) -> None:
    """Completes and verifies `part`; starts over, once, where the bytes of an earlier call do not fit.

    Raises DataError for wrong content, which it removes, and requests' exceptions, after which `part` stays.
    """
    import requests

    while True:
        resumed = part.exists() and part.stat().st_size > 0
        try:
            _download(url, part, limit=idx.gzip_limit(file.shape), title=file.name if progress else None)
            file.read(part, label=url)
        except DataError:
            part.unlink(missing_ok=True)
            if not resumed:
                raise
        except requests.HTTPError as error:
            if not (resumed and error.response.status_code == requests.codes.range_not_satisfiable):
                raise
            part.unlink()
        else:
            return


def _download(url: str, part: Path, *, limit: int, title: str | None) -> None:
    """Appends to `part` what it lacks of `url`, with a bar named `title` on stderr; flushed to the disk."""
    import pooch
    from tqdm import tqdm

    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(part.open("ab"))
        start = stream.tell()

        def answered(response: Any, **_: Any) -> None:
            if response.status_code == 206:
                if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                    raise DataError(f"{url}: answered with another range than the one asked for.")
            elif response.status_code == 200:
                stream.truncate(0)  # the whole file comes, whatever was asked for
            else:
                return
            if title:
                total = int(response.headers.get("Content-Length", 0))
                bar = tqdm(desc=title, total=total, unit="B", unit_scale=True, file=sys.stderr)
                downloader.progressbar = stack.enter_context(bar)

        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        downloader = pooch.HTTPDownloader(
            chunk_size=CHUNK_BYTES,
            headers=headers,
            hooks={"response": answered},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        downloader(url, _Bounded(stream, limit, url), None)
        stream.flush()
        os.fsync(stream.fileno())


class _Bounded:
    """A file that refuses to grow beyond `limit` bytes, whatever a server sends."""

    def __init__(self, stream: BinaryIO, limit: int, url: str) -> None:
        self.stream, self.limit, self.url = stream, limit, url
        self.flush = stream.flush

    def write(self, chunk: bytes) -> None:
        if self.stream.tell() + len(chunk) > self.limit:
            raise idx.damaged(self.url, found="more than that", expected=f"at most {self.limit:,} bytes")
        self.stream.write(chunk)


@contextlib.contextmanager
def _only_one(folder: Path, *, progress: bool) -> Iterator[None]:
    """One process at a time downloads into `folder`; the others wait, and are told so."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            sys.stderr.write(f"Another process is downloading into {folder}; waiting for it.\n")
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


def _reason(error: Exception) -> str:
    """What went wrong with a request, without the layers of wrapping that requests puts around it."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"HTTP {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off midway; a second call continues there"
    inner = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(inner).split("): ", 1)[-1]
