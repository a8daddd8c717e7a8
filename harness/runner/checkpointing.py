"""Training that can be interrupted: it goes on from the newest checkpoint of the run, if there is one."""

import sys
from typing import Any

from harness.measure.contention import ContentionMonitor
from harness.runner import training
from harness.runner.context import Context
from harness.runner.protocol import CheckpointWritten, Job, Note, Update
from harness.runner.training import TrainingProgress
from harness.store.checkpoint import Checkpoint, Checkpoints


def train(
    context: Context, job: Job, contention: ContentionMonitor, step_seconds: float
) -> list[bool | None]:
    """All epochs that no checkpoint has; the session holds the initial weights before.

    Writes a checkpoint after every `train.checkpoint_epochs`. Returns whether each of the earlier attempts
    that it went on from was contended, None where that is not known. Raises what `training.train` raises,
    and StoreError for a checkpoint that cannot be written.
    """
    session, emit = context.session, context.emit
    progress = TrainingProgress.begin(context.config)
    resumed: list[dict[str, Any]] = []
    checkpoints = Checkpoints(job.checkpoints, job.key)
    newest = checkpoints.newest()
    if checkpoints.skipped:
        sys.stderr.writelines(f"passed over: {problem}\n" for problem in checkpoints.skipped)
        emit(Update(details={"checkpoints_passed_over": checkpoints.skipped}))
    if newest:
        emit(Note(f"resuming after epoch {newest.epoch}", milestone=True))
        session.put_weights(newest.weights)
        session.put_optimizer_state(newest.optimizer)
        progress = TrainingProgress.resumed(newest.progress["course"])
        resumed = newest.progress["attempts"]
        emit(Update(details={"resumed": resumed}))
        training.report(context, progress, progress.history)

    def keep() -> None:
        epoch = len(progress.history)
        attempt = {"epoch": epoch, "started": job.started, "contended": contention.result().contended}
        stored = {"course": progress.to_mapping(), "attempts": [*resumed, attempt]}
        checkpoints.write(Checkpoint(epoch, session.weights(), session.optimizer_state(), stored))
        emit(CheckpointWritten(epoch))

    training.train(context, progress, step_seconds=step_seconds, keep=keep)
    return [attempt["contended"] for attempt in resumed]
