"""A copy of the documents of a root in one file of the user's cache, so that thousands are read at once.

Never a source of truth: a document is taken from here only while the stamp of the real one is the same.
The file may be deleted at any time. It is replaced as a whole, never changed; what is damaged or of
another version is as if it were not there.

    magic (32 bytes), CRC-32 (4) of all that follows, length (8) of the index,
    the index: [[key, attempt, stamp, [length of each part]], …] as JSON, then the parts one after another
"""

import hashlib
import zlib
from collections.abc import Iterable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import orjson
import platformdirs

from harness.measure import clock
from harness.store import files
from harness.store.record import COLUMNS, DETAIL, SCHEMA

FORMAT = 1
MAGIC = hashlib.sha256(repr((FORMAT, SCHEMA, COLUMNS, DETAIL)).encode()).digest()
CHECK, LENGTH = 4, 8
UNUSED_SECONDS = 90 * 86400.0

Name = tuple[str, str]  # key and attempt


class Entry(NamedTuple):
    """A document, taken apart: its columns, then each part of DETAIL, as JSON one after another."""

    stamp: str
    lengths: list[int]
    text: bytes | memoryview

    def parts(self) -> list[memoryview]:
        """The columns and the parts, each by itself."""
        text, ends = memoryview(self.text), list(accumulate(self.lengths))
        return [text[end - length : end] for end, length in zip(ends, self.lengths, strict=True)]


def directory() -> Path:
    """Where these files lie."""
    return Path(platformdirs.user_cache_dir("harness")) / "records"


def read(root: str) -> dict[Name, Entry]:
    """What is known of the documents of a root, by its whole name; nothing where the file is no good."""
    try:
        content = memoryview(_file(root).read_bytes())
    except OSError:
        return {}
    start = len(MAGIC) + CHECK + LENGTH
    if len(content) < start or content[: len(MAGIC)] != MAGIC:
        return {}
    if content[len(MAGIC) : len(MAGIC) + CHECK] != _check([content[len(MAGIC) + CHECK :]]):
        return {}
    place = start + int.from_bytes(content[start - LENGTH : start], "little")
    entries = {}
    for key, attempt, stamp, lengths in orjson.loads(content[start:place]):
        end = place + sum(lengths)
        entries[key, attempt] = Entry(stamp, lengths, content[place:end])
        place = end
    return entries


def write(root: str, entries: dict[Name, Entry]) -> None:
    """Replaces the file of a root; without a word where that is not possible, since nothing depends on it."""
    entries = {name: entry for name, entry in entries.items() if "".join(name).isascii()}  # as ours are
    index = orjson.dumps(
        [[key, attempt, entry.stamp, entry.lengths] for (key, attempt), entry in entries.items()]
    )
    body: list[bytes | memoryview] = [len(index).to_bytes(LENGTH, "little"), index]
    body += [entry.text for entry in entries.values()]
    path = _file(root)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _forget_unused(path.parent)
        files.write(path, [MAGIC, _check(body), *body], mode=0o600)


def _file(root: str) -> Path:
    return directory() / hashlib.sha256(root.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _check(parts: Iterable[bytes | memoryview]) -> bytes:
    found = 0
    for part in parts:
        found = zlib.crc32(part, found)
    return found.to_bytes(CHECK, "little")


def _forget_unused(place: Path) -> None:
    """Removes files of roots that nothing new was read from in three months, and what a crash left."""
    for path in place.iterdir():
        if path.stat().st_mtime < clock.now().timestamp() - UNUSED_SECONDS:
            path.unlink(missing_ok=True)
