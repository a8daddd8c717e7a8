"""Reads all records of a root, or of one run; names and passes over those that cannot be used."""

from collections.abc import Iterator, Sequence

from harness.errors import StoreError
from harness.store import index
from harness.store.index import Entry
from harness.store.layout import Attempt
from harness.store.record import RunRecord
from harness.store.roots import Root
from harness.text import warn

MAX_NAMED = 5  # of the records that are passed over
REWRITE_SHARE = 0.02  # new records, as a share of the cached ones, from which on the cache is rewritten


class PassedOver:
    """Reports records that cannot be used on stderr: the first few by name, then their number."""

    def __init__(self) -> None:
        self.count = 0

    def warn(self, message: str) -> None:
        self.count += 1
        if self.count <= MAX_NAMED:
            warn(f"passed over: {message}")

    def summarize(self, usable: int) -> None:
        if self.count:
            unnamed = f", {self.count - MAX_NAMED:,} of them not named here" if self.count > MAX_NAMED else ""
            warn(f"passed over {self.count:,} of {self.count + usable:,} records{unnamed}")


def read_entries(root: Root) -> dict[Attempt, Entry]:
    """Every record of a root that can be used; from the cache unless it has changed since."""
    passed_over = PassedOver()
    attempts = root.list_attempts(passed_over.warn)
    cached = index.read(root.identity) if len(attempts) >= root.cached_from else {}
    entries: dict[Attempt, Entry] = {}
    unread = []
    for attempt in attempts:
        entry = cached.get((attempt.key, attempt.name))
        if entry is not None and entry.version == attempt.version:
            entries[attempt] = entry
        else:
            unread.append(attempt)
    before = len(entries)
    for attempt, record in _parse(root, unread, passed_over):
        entries[attempt] = Entry.of(record, attempt.version)
    passed_over.summarize(len(entries))
    if len(attempts) >= root.cached_from and len(entries) - before > REWRITE_SHARE * before:
        index.write(root.identity, {(attempt.key, attempt.name): e for attempt, e in entries.items()})
    return entries


def read_run(root: Root, key: str) -> Iterator[tuple[Attempt, RunRecord]]:
    """The records of one run that can be used, each with its attempt."""
    passed_over = PassedOver()
    usable = 0
    for attempt, record in _parse(root, root.list_attempts(passed_over.warn, key), passed_over):
        usable += 1
        yield attempt, record.at(root.attempt_location(attempt))
    passed_over.summarize(usable)


def _parse(
    root: Root, attempts: Sequence[Attempt], passed_over: PassedOver
) -> Iterator[tuple[Attempt, RunRecord]]:
    for attempt, content in root.read(attempts, passed_over.warn):
        try:
            record = RunRecord.parse(content, root.record_location(attempt))
        except StoreError as error:
            passed_over.warn(str(error))
        else:
            yield attempt, record
