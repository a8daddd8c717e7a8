"""All documents of a root, taken apart; what cannot be used is named and passed over."""

import sys
from collections.abc import Iterator

import orjson

from harness.errors import StoreError
from harness.store import index
from harness.store.index import Entry
from harness.store.layout import Document
from harness.store.record import COLUMNS, DETAIL, RunRecord
from harness.store.roots import Root

NAMED = 5  # of those passed over
STALE_SHARE = 0.02  # of the documents: so many new ones, and the cache is written afresh


class PassedOver:
    """Documents that cannot be used: on stderr the first few by name, then how many they are."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, text: str) -> None:
        self.count += 1
        if self.count <= NAMED:
            sys.stderr.write(f"passed over: {text}\n")

    def end(self, good: int) -> None:
        if self.count:
            unnamed = f", {self.count - NAMED:,} of them not named here" if self.count > NAMED else ""
            sys.stderr.write(f"passed over {self.count:,} of {self.count + good:,} records{unnamed}\n")


def entries(root: Root) -> dict[Document, Entry]:
    """Every document of a root that is whole, from the cache where it is the same there."""
    passed = PassedOver()
    documents = root.documents(passed.add)
    known = index.read(root.identity) if len(documents) >= root.cached_from else {}
    found: dict[Document, Entry] = {}
    unread = []
    for document in documents:
        entry = known.get((document.key, document.attempt))
        if entry is not None and entry.stamp == document.stamp:
            found[document] = entry
        else:
            unread.append(document)
    before = len(found)
    for document, content in root.read(unread, passed.add):
        try:
            found[document] = _entry(RunRecord.parse(content, root.place(document)), document.stamp)
        except StoreError as error:
            passed.add(str(error))
    passed.end(len(found))
    if len(documents) >= root.cached_from and len(found) - before > STALE_SHARE * before:
        index.write(root.identity, {(document.key, document.attempt): e for document, e in found.items()})
    return found


def whole(root: Root, key: str) -> Iterator[tuple[Document, RunRecord]]:
    """The whole records of one run, each with its document; what cannot be used is named."""
    passed = PassedOver()
    good = 0
    for document, content in root.read(root.documents(passed.add, key), passed.add):
        try:
            record = RunRecord.parse(content, root.place(document))
        except StoreError as error:
            passed.add(str(error))
            continue
        good += 1
        yield document, record.at(root.directory(document))
    passed.end(good)


def _entry(record: RunRecord, stamp: str) -> Entry:
    values = vars(record)
    parts = [orjson.dumps({name: values[name] for name in COLUMNS})]
    parts += [orjson.dumps(values[name]) for name in DETAIL]
    return Entry(stamp, [len(part) for part in parts], b"".join(parts))  # what is joined has no slack
