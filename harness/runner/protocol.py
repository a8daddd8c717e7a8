"""What passes between launcher and child: one job goes in, messages come out, each as a line of JSON.

The child's lines are read without trust: a damaged process may write anything.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from harness.config.schema import Config
from harness.measure.clock import seconds
from harness.store.statuses import STATUSES
from harness.text import one_line

MAX_BYTES = 256 * 2**20  # of one message: the windows of a million epochs are some 80 MB


@dataclass(frozen=True)
class Note:
    """What the child is doing now; a `milestone` is worth a line of its own where nothing else moves."""

    text: str
    milestone: bool = False


@dataclass(frozen=True)
class Phase:
    """From `at` (seconds of the clock) on, time counts as this phase; see `measure.phases`."""

    name: str
    at: float = field(default_factory=seconds)


@dataclass(frozen=True)
class Progress:
    """How far training is: epochs and steps count from 1, throughput is in sequences/s."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    throughput: float
    seconds_left: float


@dataclass(frozen=True)
class Update:
    """Parts of the record, as soon as they are known: columns, and entries of `details` and `timing`."""

    columns: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EpochEnd:
    """An entry of the record's `history`. Its reader may end the run."""

    entry: dict[str, Any]


@dataclass(frozen=True)
class CheckpointWritten:
    """There is a checkpoint after this epoch. The child waits for an answer before it goes on."""

    epoch: int


@dataclass(frozen=True)
class End:
    """The last message: the record's status and reason, and whether the run got as far as training."""

    status: str
    reason: str | None
    could_start: bool


Message = Note | Phase | Progress | Update | EpochEnd | CheckpointWritten | End
Emit = Callable[[Message], None]

KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(Message)}


class InvalidMessage(Exception):
    """The child wrote something that is not a message; the text quotes how it begins."""


def encode(message: Message) -> str:
    """A message as its line, without the line's end."""
    return json.dumps({"message": type(message).__name__, **asdict(message)})


def parse(line: bytes | bytearray) -> Message:
    """The message that a line holds; raises InvalidMessage."""
    try:
        values = json.loads(line)
        kind = KINDS[values.pop("message")]
        hints = get_type_hints(kind)
        if values.keys() != {f.name for f in fields(kind)} or not all(
            _has_type(value, hints[name]) for name, value in values.items()
        ):
            raise invalid(line)
        message: Message = kind(**values)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise invalid(line) from None
    if isinstance(message, End) and message.status not in STATUSES:
        raise invalid(line)
    return message


def invalid(line: bytes | bytearray) -> InvalidMessage:
    """The error for a line that is not a message."""
    return InvalidMessage(one_line(bytes(line[:400]).decode(errors="backslashreplace"), 80))


def _has_type(value: object, hint: Any) -> bool:
    """Whether a JSON value is of a field's type; a whole number also serves as a float."""
    if hint == dict[str, Any]:
        return isinstance(value, dict)
    if alternatives := get_args(hint):
        return any(_has_type(value, each) for each in alternatives)
    return type(value) is hint or (hint is float and type(value) is int)


@dataclass(frozen=True)
class Job:
    """One run as the launcher decided it: the configuration, what it may use, the directory for files,
    the SHA-256 that its own data file must have; its key, when this attempt started (ISO 8601), and the
    directory for its checkpoints.

    `gpu` is the CUDA device that it holds, by its name on this machine ("cuda:1"); the child sees no
    other, and sees it as its first.
    """

    config: Config
    threads: int
    cores: tuple[int, ...]
    gpu: str | None
    directory: Path
    data_sha256: str | None
    key: str
    started: str
    checkpoints: Path

    def to_mapping(self) -> dict[str, Any]:
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "config": self.config.to_mapping(),
            "cores": list(self.cores),
            "directory": str(self.directory),
            "checkpoints": str(self.checkpoints),
        }

    @staticmethod
    def from_mapping(values: dict[str, Any]) -> "Job":
        """The job that `to_mapping` gave; raises ConfigError."""
        return Job(
            **{
                **values,
                "config": Config.from_mapping(values["config"]),
                "cores": tuple(values["cores"]),
                "directory": Path(values["directory"]),
                "checkpoints": Path(values["checkpoints"]),
            }
        )
