"""A copy of all records of a root in one file of the user's cache, so that thousands are read at once.

A record is taken from here only while the version of the stored one is the same. The file may be deleted
at any time. It is replaced as a whole; a file that is damaged or of another version is ignored.

    magic (32 bytes), CRC-32 (4) of all that follows, length (8) of the index,
    the index: [[key, attempt, version, [length of each part]], …] as JSON, then the parts one after another
"""

import hashlib
import zlib
from collections.abc import Iterable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import orjson

from harness.measure import clock
from harness.measure.directories import cache_directory
from harness.store import files
from harness.store.record import COLUMNS, DETAIL, SCHEMA, RunRecord

FORMAT = 1
MAGIC = hashlib.sha256(repr((FORMAT, SCHEMA, COLUMNS, DETAIL)).encode()).digest()
CHECKSUM_BYTES, LENGTH_BYTES = 4, 8
UNUSED_SECONDS = 90 * 86400.0

AttemptName = tuple[str, str]  # key and attempt


class Entry(NamedTuple):
    """A record as JSON in parts: its columns, then each of DETAIL, one after another in `text`."""

    version: str
    lengths: list[int]
    text: bytes | memoryview

    @staticmethod
    def of(record: RunRecord, version: str) -> "Entry":
        values = vars(record)
        parts = [orjson.dumps({name: values[name] for name in COLUMNS})]
        parts += [orjson.dumps(values[name]) for name in DETAIL]
        return Entry(version, [len(part) for part in parts], b"".join(parts))  # join leaves no spare memory

    def parts(self) -> list[memoryview]:
        """The columns, then the value of each of DETAIL."""
        text, ends = memoryview(self.text), list(accumulate(self.lengths))
        return [text[end - length : end] for end, length in zip(ends, self.lengths, strict=True)]


def directory() -> Path:
    """The directory of these files."""
    return cache_directory() / "records"


def read(root: str) -> dict[AttemptName, Entry]:
    """The cached records of the root with this identity; {} where the file is missing or cannot be used."""
    try:
        content = memoryview(_file(root).read_bytes())
    except OSError:
        return {}
    start = len(MAGIC) + CHECKSUM_BYTES + LENGTH_BYTES
    if len(content) < start or content[: len(MAGIC)] != MAGIC:
        return {}
    checked = len(MAGIC) + CHECKSUM_BYTES
    if content[len(MAGIC) : checked] != _checksum([content[checked:]]):
        return {}
    position = start + int.from_bytes(content[start - LENGTH_BYTES : start], "little")
    entries = {}
    for key, attempt, version, lengths in orjson.loads(content[start:position]):
        end = position + sum(lengths)
        entries[key, attempt] = Entry(version, lengths, content[position:end])
        position = end
    return entries


def write(root: str, entries: dict[AttemptName, Entry]) -> None:
    """Replaces the file of a root. Does nothing where that is impossible: nothing depends on the file."""
    entries = {name: entry for name, entry in entries.items() if "".join(name).isascii()}
    index = orjson.dumps(
        [[key, attempt, entry.version, entry.lengths] for (key, attempt), entry in entries.items()]
    )
    body: list[bytes | memoryview] = [len(index).to_bytes(LENGTH_BYTES, "little"), index]
    body += [entry.text for entry in entries.values()]
    path = _file(root)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_unused(path.parent)
        files.write_atomic(path, [MAGIC, _checksum(body), *body], mode=0o600)


def _file(root: str) -> Path:
    return directory() / hashlib.sha256(root.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _checksum(parts: Iterable[bytes | memoryview]) -> bytes:
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return checksum.to_bytes(CHECKSUM_BYTES, "little")


def _remove_unused(directory: Path) -> None:
    """Removes files that were not written for three months, and what crashes left."""
    for path in directory.iterdir():
        if path.stat().st_mtime < clock.now().timestamp() - UNUSED_SECONDS:
            path.unlink(missing_ok=True)
