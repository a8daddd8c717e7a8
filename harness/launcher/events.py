"""The events of a child, read without trust: a damaged process may write anything."""

import json
from typing import Any

from harness.store.record import STATUSES
from harness.text import one_line

LONGEST = 256 * 2**20  # bytes of one event: the windows of a million epochs are some 80 MB


class NoEvent(Exception):
    """What a child wrote is no event; the message quotes how it begins."""


def parse(line: bytes | bytearray) -> dict[str, Any]:
    """One line as the event that it is, see `harness.runner.protocol`; raises NoEvent."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        raise refused(line) from None
    if not isinstance(event, dict) or not _whole(event):
        raise refused(line)
    return event


def refused(line: bytes | bytearray) -> NoEvent:
    return NoEvent(one_line(bytes(line[:400]).decode(errors="backslashreplace"), 80))


def _whole(event: dict[str, Any]) -> bool:
    """Whether it has what is read of its kind."""
    match event:
        case {"event": "note"}:
            return isinstance(event.get("text"), str)
        case {"event": "phase"}:
            return isinstance(event.get("name"), str) and isinstance(event.get("at"), float)
        case {"event": "checkpoint"}:
            return type(event.get("epoch")) is int
        case {"event": "progress"}:
            numbers = ("epoch", "epochs", "step", "steps", "loss", "rate", "left")
            return all(isinstance(event.get(name), int | float) for name in numbers)
        case {"event": "update"}:
            parts = (event.get(part, {}) for part in ("fields", "details", "timing", "history"))
            return all(isinstance(part, dict) for part in parts)
        case {"event": "end", "status": str(status), "reason": str() | None, "could_start": bool()}:
            return status in STATUSES
        case {"event": str(kind)}:
            return kind != "end"
    return False
