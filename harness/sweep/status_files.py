"""One status file for each run of a sweep, in a directory or at a URL."""

import json
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

from harness.store import files, roots
from harness.sweep.task import RunStatus


class StatusFiles:
    """The entries of one sweep, in its directory."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.remote = "://" in place
        if self.remote:
            from fsspec.core import url_to_fs

            self.files, self.path = url_to_fs(place)

    def write(self, entry: RunStatus) -> None:
        """Whole or not at all. Raises OSError."""
        name, text = f"run-{entry.number:05}.json", json.dumps(asdict(entry))
        if self.remote:
            self.files.pipe_file(f"{self.path}/{name}", text.encode())
            return
        directory = Path(self.place)
        directory.mkdir(parents=True, exist_ok=True)
        files.write(directory / name, [text.encode()])

    def read(self, but: Container[int] = ()) -> Iterator[RunStatus]:
        """All that are there and whole, but for those of some numbers."""
        names = {f.name for f in fields(RunStatus)}
        for text in self._texts(but):
            try:
                values = json.loads(text)
                yield RunStatus(**{name: value for name, value in values.items() if name in names})
            except (ValueError, TypeError, AttributeError):
                continue  # another version's, or damaged: what is missing is told as missing

    def _texts(self, but: Container[int]) -> Iterator[bytes]:
        if self.remote:
            self.files.invalidate_cache(self.path)
            with suppress(FileNotFoundError):
                there = self.files.ls(self.path, detail=False)
                wanted = [path for path in there if _wanted(path.rpartition("/")[2], but)]
                yield from self.files.cat(wanted).values() if wanted else ()
            return
        for path in sorted(Path(self.place).glob("run-*.json")):
            if _wanted(path.name, but):
                with suppress(OSError):
                    yield path.read_bytes()


def _wanted(name: str, but: Container[int]) -> bool:
    number = name.removeprefix("run-").removesuffix(".json")
    return number.isdecimal() and int(number) not in but


def place(root: str, directory: str) -> str:
    """Where the documents of a sweep lie: its own directory, or beside the results if those are at a URL."""
    if roots.local(root) is None:
        return f"{root.rstrip('/')}/sweeps/{Path(directory).name}"
    return str(Path(directory).absolute())
