"""Results in a local directory."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from harness.errors import StoreError
from harness.store.layout import LOG, RECORD, Document, Layout, Report, _fresh, _stamp, staging


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
