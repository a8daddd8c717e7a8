"""Supervises a run's process: reads its messages, and decides the status that the run ends with."""

import signal
from collections.abc import Mapping
from typing import Any, Protocol

from harness.errors import StoreError
from harness.launcher.loggers.thread import LoggerThread
from harness.launcher.process import GRACE_SECONDS, Child, TimedOut, kernel_oom_kills
from harness.launcher.record_builder import RecordBuilder
from harness.runner import out_of_memory
from harness.runner.protocol import (
    CheckpointWritten,
    End,
    EpochEnd,
    InvalidMessage,
    Note,
    Phase,
    Progress,
    Update,
)
from harness.store import remote_checkpoints
from harness.store.record import RunRecord
from harness.text import exit_description


class Display(Protocol):
    """Shows how a run is going."""

    interactive: bool

    def identify(self, key: str, threads: int) -> None: ...

    def note(self, note: Note) -> None: ...

    def progress(self, progress: Progress) -> None: ...


class Pruner(Protocol):
    """Ends a run early, see `harness.sweep.pruning`."""

    @property
    def details(self) -> Mapping[str, Any]: ...

    def report_epoch(self, epoch: Mapping[str, Any]) -> str | None: ...

    def pruned_here(self, record: RunRecord) -> bool: ...

    def replay(self, record: RunRecord) -> None: ...


def supervise(
    child: Child, builder: RecordBuilder, display: Display, pruner: Pruner | None, logger: LoggerThread
) -> End:
    """Reads a child's messages to their end; returns how the run ended, whether the child said so or not."""
    oom_kills = kernel_oom_kills()
    not_uploaded: list[int] = []
    try:
        for message in child.messages():
            match message:
                case Note():
                    display.note(message)
                case Phase(name, at):
                    builder.phases.begin(name, at)
                case Progress():
                    display.progress(message)
                case Update():
                    builder.update(message)
                case EpochEnd(entry):
                    builder.add_epoch(entry)
                    logger.epoch(entry)
                    reason = pruner.report_epoch(entry) if pruner else None
                    if pruner and reason:
                        child.kill()
                        builder.update(Update(details={"pruned": pruner.details}))
                        return End("pruned", reason, could_start=True)
                case CheckpointWritten(epoch):
                    _upload(child, builder, epoch, not_uploaded)
                    child.answer()
                case End():
                    child.wait()
                    return message
    except TimedOut:
        child.kill()
        limit = builder.values["config"]["run"]["timeout_seconds"]
        return End("timeout", f"longer than run.timeout_seconds={limit:g}", could_start=True)
    except InvalidMessage as error:
        child.kill()
        return End("crashed", f"its process wrote something that is not a message: {error}", could_start=True)
    return _end_without_message(child, oom_kills)


def _upload(child: Child, builder: RecordBuilder, epoch: int, failed: list[int]) -> None:
    """Copies a checkpoint to a remote root. A failure is recorded, and does not end the run; `failed` are the
    epochs whose checkpoints were not uploaded."""
    try:
        remote_checkpoints.upload(builder.values["config"]["results"]["root"], builder.values["key"], epoch)
    except StoreError as error:
        failed.append(epoch)
        problem = {"epochs": failed, "reason": str(error)}
        builder.update(Update(details={"checkpoints_not_uploaded": problem}))
        child.output.add(f"the checkpoint after epoch {epoch} is not uploaded: {error}\n".encode())


def _end_without_message(child: Child, oom_kills: int) -> End:
    """How a run ended whose process did not say so; `oom_kills` is how often the kernel had killed for memory
    before."""
    code = child.wait()
    output = child.last_output()
    if code == -signal.SIGKILL and kernel_oom_kills() > oom_kills:
        return End("out_of_memory", "killed by the kernel for memory", could_start=True)
    if code is None:
        how = f"closed its messages, did not end within {GRACE_SECONDS:g} s, and was ended"
    else:
        how = exit_description(code)
    status = "out_of_memory" if out_of_memory.matches(output) else "crashed"
    return End(status, f"{how}; last output: {output}" if output else f"{how}, no output", could_start=True)
