"""Messages between a child and its parent: read as they were written, or refused."""

import pytest

from harness.runner.protocol import (
    CheckpointWritten,
    End,
    EpochEnd,
    InvalidMessage,
    Message,
    Note,
    Phase,
    Progress,
    Update,
    encode,
    parse,
)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"7",
        b"[]",
        b"{}",
        b'{"message": 3}',
        b'{"message": "Nothing"}',
        b'{"message": "Note"}',
        b'{"message": "Note", "text": 7, "milestone": false}',
        b'{"message": "Note", "text": "x", "milestone": false, "more": 1}',
        b'{"message": "Phase", "name": null, "at": 1.0}',
        b'{"message": "Phase", "name": "training"}',
        b'{"message": "Update", "columns": 7, "details": {}, "timing": {}}',
        b'{"message": "EpochEnd", "entry": []}',
        b'{"message": "CheckpointWritten", "epoch": true}',
        b'{"message": "Progress", "epoch": "one"}',
        b'{"message": "End"}',
        b'{"message": "End", "status": "ok", "reason": 7, "could_start": true}',
        b'{"message": "End", "status": "splendid", "reason": null, "could_start": true}',
        b"[" * 100_000,
        b"9" * 10_000,
        b'"\xff"',
    ],
    ids=lambda line: repr(line[:30]),
)
def test_a_line_that_is_not_a_message_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidMessage) as error:
        parse(line)
    assert len(str(error.value)) <= 80
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "message",
    [
        Note("loading data"),
        Note("resuming after epoch 2", milestone=True),
        Phase("training"),
        Progress(1, 2, 3, 4, loss=0.5, throughput=1000.0, seconds_left=1.5),
        Update(columns={"test_accuracy": 0.9}, details={"parity": {}}, timing={"windows": []}),
        EpochEnd({"epoch": 1}),
        CheckpointWritten(3),
        End("ok", None, could_start=True),
        End("failed", "a reason", could_start=False),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    assert parse(encode(message).encode()) == message
