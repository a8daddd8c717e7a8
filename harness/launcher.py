"""One run, from a configuration to a stored record, whatever happens to it."""

import math
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from harness import checkpoint, data, environment, feasible, outofmemory, store
from harness.config import Config
from harness.devices import label, thread_count, wanted_gpus
from harness.errors import HarnessError, StoreError, Unavailable
from harness.events import NoEvent
from harness.job import Job
from harness.key import run_key
from harness.lease import lease
from harness.loggers.feed import Feed
from harness.measure.clock import now
from harness.measure.phases import Phases
from harness.process import GRACE_SECONDS, Child, TimedOut, kernel_oom_kills
from harness.record import RunRecord
from harness.store import copies
from harness.words import ended, one_line

REASON = 2000  # characters that a record keeps of it, on one line


class Display(Protocol):
    """What wants to know how a run is going."""

    interactive: bool

    def identify(self, key: str, threads: int) -> None: ...

    def note(self, text: str) -> None: ...

    def progress(self, event: Mapping[str, Any]) -> None: ...


class Judge(Protocol):
    """What may end a run early, see `pruning`."""

    @property
    def details(self) -> Mapping[str, Any]: ...

    def after(self, epoch: Mapping[str, Any]) -> str | None: ...

    def decided(self, record: RunRecord) -> bool: ...

    def replay(self, record: RunRecord) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """A record, whether it was there before, and whether the run could start at all."""

    record: RunRecord
    reused: bool = False
    could_start: bool = True


class Draft:
    """A record in the making."""

    def __init__(self, config: Config, *, key: str, threads: int, command: str) -> None:
        self.phases = Phases("prepare")
        self.values: dict[str, Any] = {
            "key": key,
            "command": command,
            "started": now().isoformat(),
            "threads": threads,
            "config": config.to_mapping(),
            "environment": {},
            "history": [],
            "timing": {},
            "details": {},
            **_named(config),
        }

    def update(self, event: Mapping[str, Any]) -> None:
        self.values |= event.get("fields", {})
        self.values["details"] |= event.get("details", {})
        self.values["timing"] |= event.get("timing", {})
        if "history" in event:
            self.values["history"].append(event["history"])

    def ended(self, status: str, reason: str | None) -> RunRecord:
        phases = self.phases.end()
        reason = None if reason is None else one_line(reason, REASON)
        self.values["timing"]["phases"] = phases
        total = math.fsum(phases.values())
        values = {**self.values, "status": status, "reason": reason, "total_seconds": total}
        rate = values.get("train_flops_per_second")
        for name in ("peak", "own_shape"):
            most = values.get(f"{name}_flops_per_second")
            if most and rate:
                values[f"{name}_fraction"] = rate / most
        return RunRecord(**{f.name: values[f.name] for f in fields(RunRecord) if f.name in values})


def _named(config: Config) -> dict[str, Any]:
    """The record's columns that the configuration decides."""
    model = config.model_spec(data.shape_of(config))
    return {
        "mode": config.mode,
        "backend": config.backend.name,
        "implementation": config.backend.implementation,
        "engine": config.backend.engine,
        "cell": config.cell.name,
        "hidden": config.cell.hidden,
        "layers": config.model.layers,
        "bidirectional": config.model.bidirectional,
        "sequence": config.reading,
        "data": config.data.name,
        "seed": config.seed,
        "batch_size": config.train.batch_size,
        "epochs": _epochs(config),
        "precision": config.precision,
        "device": config.device,
        "parameters": model.parameters,
        "flops_per_sequence": model.flops_per_sequence,
    }


def _epochs(config: Config) -> int:
    """How often the training set is gone through."""
    if config.mode != "train":
        return 0
    return 1 if config.train.solver == "ridge" else config.train.epochs


def launch(config: Config, *, command: str, display: Display, judge: Judge | None = None) -> Outcome:
    """Makes the run in a child process, unless it is complete already or was pruned by this very search, and
    stores its record.

    Returns for every run that has a valid configuration, also when it was interrupted (status
    `interrupted`) and when its record could not be stored (never `ok`; the reason says where it is kept).
    Raises ConfigError for a model that its data does not allow, DataError and WeightsError where a file
    that the configuration names cannot be used: nothing has happened then.
    """
    feasible.check(config)
    try:
        return _launch(config, command=command, display=display, judge=judge)
    except StoreError as error:  # the results could be written to when the sweep began
        asked = config.threads or 0
        draft = Draft(config, key=run_key(config, asked), threads=asked, command=command)
        return Outcome(draft.ended("failed", str(error)), could_start=False)


def _launch(config: Config, *, command: str, display: Display, judge: Judge | None) -> Outcome:
    root = config.results.root
    store.prepare(root)
    try:
        threads, gpus = resources(config)
    except Unavailable as error:
        asked = config.threads or 0
        draft = Draft(config, key=run_key(config, asked), threads=asked, command=command)
        record = draft.ended("skipped", str(error))
        return _closed(_feed(config, draft), record, root, could_start=False)
    sha256 = data.fingerprint(config)
    key = run_key(config, threads)
    display.identify(key, threads)
    with _only_one(store.lock(root, key), display):
        store.recover(root, key)
        done = store.complete(
            root, key, with_weights=config.save_weights, decided=judge.decided if judge else None
        )
        again = config.sweep.rerun == "all"
        if (done is not None and done.ok) or again:
            _forget(root, key)
        if done is not None and not again:
            if judge:
                judge.replay(done)
            return Outcome(done, reused=True)
        if not again:
            copies.fetch(root, key)
        draft = Draft(config, key=key, threads=threads, command=command)
        draft.update({"details": {"data_sha256": sha256} if sha256 else {}})
        directory = store.new_attempt(root, key, now())
        feed = _feed(config, draft, store.checkpoints(root, key))
        could_start = True
        try:
            data.provide(config, progress=display.interactive)
            feed.wait()
            draft.phases.begin("lease")
            with lease(threads, gpus, display.note) as held:
                draft.phases.begin("launch")
                draft.values["environment"] = environment.describe(held.cores, held.gpu)
                job = Job(
                    config,
                    threads,
                    held.cores,
                    label(held.gpu),
                    directory.resolve(),
                    sha256,
                    key=key,
                    started=draft.values["started"],
                    checkpoints=store.checkpoints(root, key),
                )
                with Child(job, held) as child:
                    status, reason, could_start = _follow(child, draft, display, judge, feed)
            if child.output.failed:
                draft.update({"details": {"output_incomplete": str(child.output.failed)}})
            record = draft.ended(status, reason)
        except KeyboardInterrupt:
            record = draft.ended("interrupted", "stopped from outside")
        except (HarnessError, OSError) as error:
            record, could_start = draft.ended("failed", str(error)), False
        outcome = _closed(feed, record, root, could_start=could_start, directory=directory)
        if outcome.record.ok:
            _forget(root, key)
        return outcome


def _forget(root: str, key: str) -> None:
    """Removes a run's checkpoints. A copy that stays is said, and does no harm; raises StoreError for what
    stays here."""
    checkpoint.remove(store.checkpoints(root, key))
    try:
        copies.remove(root, key)
    except StoreError as error:
        sys.stderr.write(f"{error}\n")


def resources(config: Config) -> tuple[int, list[str]]:
    """How many cores a run takes here, and the GPUs of which it takes one; raises Unavailable."""
    gpus = wanted_gpus(config.device, import_module(f"harness.backends.{config.backend.name}").DEVICES)
    return thread_count(config.threads, gpu=bool(gpus)), gpus


def lost(config: Config, *, key: str | None, threads: int, command: str, status: str, reason: str) -> Outcome:
    """Stores the record of a run whose own launcher is gone and could not. Raises HarnessError."""
    root = config.results.root
    store.prepare(root)
    if key is None:
        try:
            threads, _ = resources(config)
        except Unavailable:
            threads = config.threads or 0
        key = run_key(config, threads)
    draft = Draft(config, key=key, threads=threads, command=command)
    feed = _feed(config, draft, store.checkpoints(root, key))
    return _closed(feed, draft.ended(status, reason), root, could_start=True)


def _feed(config: Config, draft: Draft, checkpoints: Path | None = None) -> Feed:
    return Feed(config, key=draft.values["key"], started=draft.values["started"], checkpoints=checkpoints)


def _follow(
    child: Child, draft: Draft, display: Display, judge: Judge | None, feed: Feed
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
                draft.phases.begin(event["name"])
            elif kind == "progress":
                display.progress(event)
            elif kind == "update":
                draft.update(event)
                if "history" in event:
                    feed.epoch(event["history"])
                reason = judge.after(event["history"]) if judge and "history" in event else None
                if judge and reason:
                    child.kill()
                    draft.update({"details": {"pruned": judge.details}})
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
        copies.upload(draft.values["config"]["results"]["root"], draft.values["key"], epoch)
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
        how = ended(code)
    status = "out_of_memory" if outofmemory.says_so(said) else "crashed"
    return status, f"{how}; last output: {said}" if said else f"{how}, no output"


def _closed(
    feed: Feed, record: RunRecord, root: str, *, could_start: bool, directory: Path | None = None
) -> Outcome:
    """Stores a record that its logger was told of, and that says what came of that; also when the wait for
    the logger is interrupted, which then is raised."""
    try:
        feed.end(record, directory)
    finally:
        outcome = _stored(feed.noted(record), root, could_start=could_start, directory=directory)
    return outcome


def _stored(record: RunRecord, root: str, *, could_start: bool, directory: Path | None = None) -> Outcome:
    directory = directory or store.new_attempt(root, record.key, now())
    try:
        return Outcome(store.keep(record, root, directory), could_start=could_start)
    except store.NotStored as error:
        status = "failed" if record.ok else record.status
        reason = "; ".join([record.reason or f"ended {record.status}", str(error)])
        return Outcome(replace(record, status=status, reason=reason), could_start=could_start)


@contextmanager
def _only_one(path: Path, display: Display) -> Iterator[None]:
    """Two sweeps never make the same run at once: the second waits, and then finds it complete."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        display.note("waiting: the same run is being made elsewhere")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
