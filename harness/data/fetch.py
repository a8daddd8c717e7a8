"""Downloads missing dataset files: tries the mirrors in turn, verifies, then moves each file into place."""

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path

from harness.data import idx
from harness.data.download import ServerError, download_file
from harness.data.mnist import DataFile, DatasetFiles, files_of
from harness.errors import DataError
from harness.text import warn


def fetch_missing(
    name: str, root: Path, *, download: bool = True, progress: bool = False
) -> tuple[Path, ...]:
    """Downloads the files of dataset `name` that do not exist below `root`; returns their paths.

    Existing files are left alone, whatever is in them. Raises DataError, naming the files and where to put
    them, when a file is missing and cannot be downloaded. Complete files then stay, and the next call
    resumes the incomplete ones.
    """
    files = files_of(name)
    return () if files is None else fetch_files(files, root, download=download, progress=progress)


def fetch_files(
    files: DatasetFiles, root: Path, *, download: bool = True, progress: bool = False
) -> tuple[Path, ...]:
    """Downloads the missing ones of these files; otherwise as `fetch_missing`."""
    missing = files.missing(root)
    if not missing:
        return ()
    if not download:
        raise missing_error(files, root, "They may not be downloaded (data.download=false).")
    folder, _ = files.folders(root)
    mirrors = list(files.mirrors)
    fetched = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _download_lock(folder, progress=progress):
            for file in files.missing(root):  # checked again: another process may have fetched them
                if failures := _fetch_from_mirrors(mirrors, file, folder, progress=progress):
                    raise missing_error(files, root, f"No mirror could provide {file.name}:", *failures)
                fetched.append(folder / file.name)
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"data.root={root}: {folder} cannot be written ({reason}).") from error
    return tuple(fetched)


def missing_error(files: DatasetFiles, root: Path, *reasons: str) -> DataError:
    """The error for missing files: which ones, why, and what to do about it."""
    missing = files.missing(root)
    folder, torchvision = files.folders(root)
    lines = [f"{files.name}: {len(missing)} of {len(files.files)} files missing. {reasons[0]}"]
    lines += [f"  {line}" for line in reasons[1:]]
    lines += [
        f"Looked for in {folder} and {torchvision}: gzipped or not, named …-idx3-ubyte or ….idx3-ubyte."
    ]
    lines += ["Put there by hand:", *(f"  {folder / file.name}" for file in missing)]
    lines += ["or choose data=digits, which needs no files."]
    return DataError("\n".join(lines))


def _fetch_from_mirrors(mirrors: list[str], file: DataFile, folder: Path, *, progress: bool) -> list[str]:
    """Downloads `file` into `folder` from the first mirror that has it; returns [], or each mirror's failure.

    A mirror that fails goes to the end of `mirrors`, so that the next file does not wait for it again.
    """
    failures = []
    for mirror in tuple(mirrors):
        url = mirror + file.name
        part = folder / f"{file.name}.{zlib.crc32(url.encode()):08x}.part"  # mirrors compress differently
        try:
            _download_verified(url, part, file, progress=progress)
        except (DataError, ServerError) as error:
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


def _download_verified(url: str, part: Path, file: DataFile, *, progress: bool) -> None:
    """Completes and verifies `part`; starts over once where the bytes of an earlier call do not fit.

    Raises DataError for wrong content, which it removes, and ServerError, after which `part` stays.
    """
    while True:
        resumed = part.exists() and part.stat().st_size > 0
        try:
            download_file(url, part, limit=idx.gzip_limit(file.shape), title=file.name if progress else None)
            file.read(part, label=url)
        except DataError:
            part.unlink()
            if not resumed:
                raise
        else:
            return


@contextlib.contextmanager
def _download_lock(folder: Path, *, progress: bool) -> Iterator[None]:
    """Lets one process at a time download into `folder`; with `progress` the others say that they wait."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            warn(f"Another process is downloading into {folder}; waiting for it.")
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()
