"""A run from outside: what its process says, and what it ended by."""

import signal
from collections.abc import Mapping
from typing import Any, Protocol

from harness.errors import StoreError
from harness.launcher.events import NoEvent
from harness.launcher.loggers.thread import LoggerThread
from harness.launcher.process import GRACE_SECONDS, Child, TimedOut, kernel_oom_kills
from harness.launcher.record_builder import Draft
from harness.runner import out_of_memory
from harness.store import remote_checkpoints
from harness.store.record import RunRecord
from harness.text import exit_description


class Display(Protocol):
    """What wants to know how a run is going."""

    interactive: bool

    def identify(self, key: str, threads: int) -> None: ...

    def note(self, text: str) -> None: ...

    def progress(self, event: Mapping[str, Any]) -> None: ...


class Pruner(Protocol):
    """What may end a run early, see `pruning`."""

    @property
    def details(self) -> Mapping[str, Any]: ...

    def report_epoch(self, epoch: Mapping[str, Any]) -> str | None: ...

    def pruned_here(self, record: RunRecord) -> bool: ...

    def replay(self, record: RunRecord) -> None: ...


def follow(
    child: Child, draft: Draft, display: Display, pruner: Pruner | None, logger: LoggerThread
) -> tuple[str, str | None, bool]:
    """Reads a child's events to their end; status, reason, and whether the run could start."""
    ooms = kernel_oom_kills()
    not_uploaded: list[int] = []
    try:
        for event in child.events():
            kind = event.pop("event")
            if kind == "note":
                display.note(event["text"])
            elif kind == "phase":
                draft.phases.begin(event["name"], event["at"])
            elif kind == "progress":
                display.progress(event)
            elif kind == "update":
                draft.update(event)
                if "history" in event:
                    logger.epoch(event["history"])
                reason = pruner.report_epoch(event["history"]) if pruner and "history" in event else None
                if pruner and reason:
                    child.kill()
                    draft.update({"details": {"pruned": pruner.details}})
                    return "pruned", reason, True
            elif kind == "checkpoint":
                _copy(child, draft, event["epoch"], not_uploaded)
                child.go_on()
            elif kind == "end":
                child.wait()
                return event["status"], event["reason"], event["could_start"]
    except TimedOut:
        child.kill()
        limit = draft.values["config"]["run"]["timeout_seconds"]
        return "timeout", f"longer than run.timeout_seconds={limit:g}", True
    except NoEvent as error:
        child.kill()
        return "crashed", f"its process wrote something that is no event: {error}", True
    return *_without_a_word(child, ooms), True


def _copy(child: Child, draft: Draft, epoch: int, failed: list[int]) -> None:
    """Brings a checkpoint to where the results are. What goes wrong is said, and does not end the run;
    `failed` are the epochs for which it did."""
    try:
        remote_checkpoints.upload(draft.values["config"]["results"]["root"], draft.values["key"], epoch)
    except StoreError as error:
        failed.append(epoch)
        draft.update({"details": {"checkpoints_not_uploaded": {"epochs": failed, "reason": str(error)}}})
        child.output.add(f"the checkpoint after epoch {epoch} is not uploaded: {error}\n".encode())


def _without_a_word(child: Child, ooms: int) -> tuple[str, str]:
    """Status and reason of a run whose process did not say how it ended; `ooms` is how often the kernel had
    killed for memory before."""
    code = child.wait()
    said = child.last_output()
    if code == -signal.SIGKILL and kernel_oom_kills() > ooms:
        return "out_of_memory", "killed by the kernel for memory"
    if code is None:
        how = f"closed its events, did not end within {GRACE_SECONDS:g} s, and was ended"
    else:
        how = exit_description(code)
    status = "out_of_memory" if out_of_memory.says_so(said) else "crashed"
    return status, f"{how}; last output: {said}" if said else f"{how}, no output"
