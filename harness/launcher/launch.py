"""One run, from a configuration to a stored record, whatever happens to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.config import catalogue, dataset
from harness.config.schema import Config
from harness.errors import HarnessError, StoreError, Unavailable
from harness.launcher import environment, preflight
from harness.launcher.key import run_key
from harness.launcher.lease import lease
from harness.launcher.loggers.thread import LoggerThread
from harness.launcher.process import Child, variables_set
from harness.launcher.record_builder import RecordBuilder
from harness.launcher.supervise import Display, Pruner, supervise
from harness.measure.clock import now
from harness.measure.devices import candidate_gpus, cuda_device, thread_count
from harness.runner.protocol import Job, Note, Update
from harness.store import attempts, checkpoint, remote_checkpoints
from harness.store.record import RunRecord
from harness.text import warn


@dataclass(frozen=True)
class Outcome:
    """A record, whether it was there before, and whether the run could start at all."""

    record: RunRecord
    reused: bool = False
    could_start: bool = True


def launch(
    config: Config,
    *,
    command: str,
    display: Display,
    pruner: Pruner | None = None,
    place: Mapping[str, Any] | None = None,
) -> Outcome:
    """Makes the run in a child process, unless it is complete already or was pruned by this very search, and
    stores its record, with its `place` in a sweep.

    Returns for every run that has a valid configuration, also when it was interrupted (status
    `interrupted`) and when its record could not be stored (never `ok`; the reason says where it is kept).
    Raises ConfigError for a model or a batch that its data does not allow, DataError and WeightsError where a
    file that the configuration names cannot be used: nothing has happened then.
    """
    preflight.check(config)
    preflight.check_inputs(config)
    try:
        return _launch(config, command=command, display=display, pruner=pruner, place=place)
    except StoreError as error:  # the results could be written to when the sweep began
        return Outcome(_unstarted(config, command, place).build("failed", str(error)), could_start=False)


def _unstarted(config: Config, command: str, place: Mapping[str, Any] | None) -> RecordBuilder:
    """For a run whose cores are not known: those that the configuration names, else 0."""
    threads = config.threads or 0
    key = run_key(config, threads)
    return RecordBuilder(config, key=key, threads=threads, command=command, place=place)


def _launch(
    config: Config,
    *,
    command: str,
    display: Display,
    pruner: Pruner | None,
    place: Mapping[str, Any] | None,
) -> Outcome:
    root = config.results.root
    attempts.check_writable(root)
    try:
        threads, gpus = threads_and_gpus(config)
    except Unavailable as error:
        builder = _unstarted(config, command, place)
        record = builder.build("skipped", str(error))
        return _log_end_and_store(_logger_thread(config, builder), record, root, could_start=False)
    sha256 = dataset.fingerprint(config)
    key = run_key(config, threads, gpus)
    display.identify(key, threads)
    with _run_lock(attempts.lock_file(root, key), display):
        attempts.recover(root, key)
        done = attempts.find_complete(
            root, key, with_weights=config.save_weights, accept=pruner.pruned_here if pruner else None
        )
        again = config.sweep.rerun == "all"
        if (done is not None and done.ok) or again:
            _remove_checkpoints(root, key)
        if done is not None and not again:
            if pruner:
                pruner.replay(done)
            return Outcome(done, reused=True)
        if not again:
            remote_checkpoints.download(root, key)
        builder = RecordBuilder(config, key=key, threads=threads, command=command, place=place)
        builder.update(Update(details={"data_sha256": sha256} if sha256 else {}))
        directory = attempts.new_attempt(root, key, now())
        logger = _logger_thread(config, builder, attempts.checkpoint_directory(root, key))
        could_start = True
        try:
            dataset.download_missing(config, progress=display.interactive)
            logger.wait()
            builder.phases.begin("lease")
            with lease(threads, gpus, lambda text: display.note(Note(text, milestone=True))) as held:
                builder.phases.begin("launch")
                builder.values["environment"] = environment.describe(held) | {
                    "variables_set": variables_set(config, held)
                }
                job = Job(
                    config,
                    threads,
                    held.cores,
                    cuda_device(held.gpu),
                    directory.resolve(),
                    sha256,
                    key=key,
                    started=builder.values["started"],
                    checkpoints=attempts.checkpoint_directory(root, key),
                )
                with Child(job, held) as child:
                    end = supervise(child, builder, display, pruner, logger)
            if child.output.failed:
                builder.update(Update(details={"output_incomplete": str(child.output.failed)}))
            record, could_start = builder.build(end.status, end.reason), end.could_start
        except KeyboardInterrupt:
            record = builder.build("interrupted", "stopped from outside")
        except (HarnessError, OSError) as error:
            record, could_start = builder.build("failed", str(error)), False
        outcome = _log_end_and_store(logger, record, root, could_start=could_start, directory=directory)
        if outcome.record.ok:
            _remove_checkpoints(root, key)
        return outcome


def _remove_checkpoints(root: str, key: str) -> None:
    """Removes a run's checkpoints. A copy that stays is said, and does no harm; raises StoreError for what
    stays here."""
    checkpoint.remove(attempts.checkpoint_directory(root, key))
    try:
        remote_checkpoints.remove(root, key)
    except StoreError as error:
        warn(str(error))


def threads_and_gpus(config: Config) -> tuple[int, list[str]]:
    """How many cores a run takes here, and the GPUs of which it takes one; raises Unavailable, also where
    `backend.shards` does not fit them."""
    gpus = candidate_gpus(config.device, catalogue.device_kinds(config.backend.name))
    threads, shards = thread_count(config.threads, gpu=bool(gpus)), config.backend.shards
    if shards > 1 and gpus:
        raise Unavailable(f"backend.shards={shards}: on a GPU 1 alone is allowed; or use device=cpu")
    if shards > threads:
        raise Unavailable(f"backend.shards={shards}: must be 1 … threads={threads}, for a thread each")
    return threads, gpus


def store_lost_run(
    config: Config,
    *,
    key: str | None,
    threads: int,
    command: str,
    place: Mapping[str, Any] | None,
    status: str,
    reason: str,
) -> Outcome:
    """Stores the record of a run whose own launcher is gone and could not. Raises HarnessError."""
    root = config.results.root
    attempts.check_writable(root)
    if key is None:
        try:
            threads, gpus = threads_and_gpus(config)
        except Unavailable:
            threads, gpus = config.threads or 0, []
        key = run_key(config, threads, gpus)
    builder = RecordBuilder(config, key=key, threads=threads, command=command, place=place)
    logger = _logger_thread(config, builder, attempts.checkpoint_directory(root, key))
    return _log_end_and_store(logger, builder.build(status, reason), root, could_start=True)


def _logger_thread(config: Config, builder: RecordBuilder, checkpoints: Path | None = None) -> LoggerThread:
    return LoggerThread(
        config, key=builder.values["key"], started=builder.values["started"], checkpoints=checkpoints
    )


def _log_end_and_store(
    logger: LoggerThread, record: RunRecord, root: str, *, could_start: bool, directory: Path | None = None
) -> Outcome:
    """Stores a record that its logger was told of, and that says what came of that; also when the wait for
    the logger is interrupted, which then is raised."""
    try:
        logger.end(record, directory)
    finally:
        record = _store(logger.annotated(record), root, directory)
    return Outcome(record, could_start=could_start)


def _store(record: RunRecord, root: str, directory: Path | None) -> RunRecord:
    """The stored record, or one that says why it is not stored."""
    try:
        return attempts.store(record, root, directory or attempts.new_attempt(root, record.key, now()))
    except attempts.NotStored as error:
        reason = "; ".join([record.reason or f"ended {record.status}", str(error)])
        return replace(record, status="failed" if record.ok else record.status, reason=reason)


@contextmanager
def _run_lock(path: Path, display: Display) -> Iterator[None]:
    """Two sweeps never make the same run at once: the second waits, and then finds it complete."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        display.note(Note("waiting: the same run is being made elsewhere", milestone=True))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
