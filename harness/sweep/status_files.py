"""The status files of a sweep: one JSON file per run, in a directory or at a URL."""

import json
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

from harness.store import files, roots
from harness.sweep.task import RunStatus


class StatusFiles:
    """Reads and writes the status files of one sweep."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.remote = "://" in location
        if self.remote:
            from fsspec.core import url_to_fs

            self.files, self.path = url_to_fs(location)

    def write(self, run: RunStatus) -> None:
        """Replaces a run's file, atomically on a disk. Raises OSError."""
        name, text = f"run-{run.number:05}.json", json.dumps(asdict(run))
        if self.remote:
            self.files.pipe_file(f"{self.path}/{name}", text.encode())
            return
        directory = Path(self.location)
        directory.mkdir(parents=True, exist_ok=True)
        files.write_atomic(directory / name, [text.encode()])

    def read(self, skip: Container[int] = ()) -> Iterator[RunStatus]:
        """Every run that has a readable file, except those whose number is in `skip`.

        A file that is damaged, or that another version wrote, counts as missing.
        """
        names = {field.name for field in fields(RunStatus)}
        for text in self._texts(skip):
            with suppress(ValueError, TypeError, AttributeError):
                values = json.loads(text)
                yield RunStatus(**{name: value for name, value in values.items() if name in names})

    def _texts(self, skip: Container[int]) -> Iterator[bytes]:
        if self.remote:
            self.files.invalidate_cache(self.path)
            with suppress(FileNotFoundError):
                paths = self.files.ls(self.path, detail=False)
                paths = [path for path in paths if _is_selected(path.rpartition("/")[2], skip)]
                yield from self.files.cat(paths).values() if paths else ()
            return
        for path in sorted(Path(self.location).glob("run-*.json")):
            if _is_selected(path.name, skip):
                with suppress(OSError):
                    yield path.read_bytes()


def status_directory(root: str, sweep_directory: str) -> str:
    """Where a sweep's status files are: in its own directory, or beside the results if those are at a URL."""
    if roots.local_path(root) is None:
        return f"{root.rstrip('/')}/sweeps/{Path(sweep_directory).name}"
    return str(Path(sweep_directory).absolute())


def _is_selected(name: str, skip: Container[int]) -> bool:
    number = name.removeprefix("run-").removesuffix(".json")
    return number.isdecimal() and int(number) not in skip
