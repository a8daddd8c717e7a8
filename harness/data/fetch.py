"""Brings the files that are missing: mirrors in turn, verified, moved into place in one step."""

import contextlib
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.data import idx
from harness.data.download import NoAnswer, download
from harness.data.mnist import Collection, DataFile, collection
from harness.errors import DataError


def fetch_missing(
    name: str,
    root: Path,
    *,
    download: bool = True,
    progress: bool = False,
    mirrors: Sequence[str] | None = None,
) -> tuple[Path, ...]:
    """Brings those files of dataset `name` that are not below `root`; returns the paths it brought.

    Files that are there are left alone, whatever is in them. `mirrors` (addresses that end with a slash)
    replaces the catalog's. Raises DataError, naming the files and where to put them, when something is
    missing and cannot be had; what was complete by then stays, what was half done is continued next time.
    """
    files = collection(name)
    if files is None:
        return ()
    if mirrors is not None:
        files = replace(files, mirrors=tuple(mirrors))
    return fetch(files, root, allowed=download, progress=progress)


def fetch(files: Collection, root: Path, *, allowed: bool = True, progress: bool = False) -> tuple[Path, ...]:
    """`fetch_missing` for the files of any collection."""
    missing = files.missing(root)
    if not missing:
        return ()
    if not allowed:
        raise absent(files, root, "They may not be downloaded (data.download=false).")
    folder = files.folder(root)
    mirrors = list(files.mirrors)
    brought = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder, progress=progress):
            for file in files.missing(root):  # asked again: another process may have brought them
                if failures := _from_any(mirrors, file, folder, progress=progress):
                    raise absent(files, root, f"No mirror could provide {file.name}:", *failures)
                brought.append(folder / file.name)
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"data.root={root}: {folder} cannot be written ({reason}).") from error
    return tuple(brought)


def absent(files: Collection, root: Path, *why: str) -> DataError:
    """The error for files that are not there: which, why, and what a person can do about it."""
    missing = files.missing(root)
    folder = files.folder(root)
    lines = [f"{files.name}: {len(missing)} of {len(files.files)} files missing. {why[0]}"]
    lines += [f"  {line}" for line in why[1:]]
    lines += ["Put there by hand:", *(f"  {folder / file.name}" for file in missing)]
    lines += ["or choose data=digits, which needs no files."]
    return DataError("\n".join(lines))


def _from_any(mirrors: list[str], file: DataFile, folder: Path, *, progress: bool) -> list[str]:
    """Moves `file` into `folder` from the first mirror that has it: [], or what went wrong with each.

    A mirror that fails goes to the end of `mirrors`, so that the next file does not wait for it again.
    """
    failures = []
    for mirror in tuple(mirrors):
        url = mirror + file.name
        part = folder / f"{file.name}.{zlib.crc32(url.encode()):08x}.part"  # mirrors compress differently
        try:
            _bring(url, part, file, progress=progress)
        except (DataError, NoAnswer) as error:
            failures.append(str(error))
            if part.exists() and part.stat().st_size == 0:
                part.unlink()
            mirrors.remove(mirror)
            mirrors.append(mirror)
        else:
            part.replace(folder / file.name)
            for other in folder.glob(f"{file.name}.*.part"):
                other.unlink()
            return []
    return failures


def _bring(url: str, part: Path, file: DataFile, *, progress: bool) -> None:
    """Completes and verifies `part`; starts over, once, where the bytes of an earlier call do not fit.

    Raises DataError for wrong content, which it removes, and NoAnswer, after which `part` stays.
    """
    while True:
        resumed = part.exists() and part.stat().st_size > 0
        try:
            download(url, part, limit=idx.gzip_limit(file.shape), title=file.name if progress else None)
            file.read(part, label=url)
        except DataError:
            part.unlink()
            if not resumed:
                raise
        else:
            return


@contextlib.contextmanager
def _only_one(folder: Path, *, progress: bool) -> Iterator[None]:
    """One process at a time downloads into `folder`; the others wait, and say so."""
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
