"""Training that can be interrupted: from the newest checkpoint of the same run on, where there is one."""

import sys
from typing import Any

from harness.backends.base import Session
from harness.data import Dataset
from harness.measure.contention import Contention
from harness.model.network import ModelSpec
from harness.runner import training
from harness.runner.protocol import Emit, Job
from harness.runner.training import Course
from harness.store.checkpoint import Checkpoint, Checkpoints


def train(
    session: Session,
    job: Job,
    model: ModelSpec,
    dataset: Dataset,
    contention: Contention,
    step_seconds: float,
    emit: Emit,
) -> list[bool | None]:
    """All epochs that no earlier attempt has kept; the session has the initial weights before.

    Keeps a checkpoint after every `train.checkpoint_epochs`. Returns whether each of the earlier attempts
    that it went on from was contended, None where that is not known. Raises what `training.train` raises,
    and StoreError for a checkpoint that cannot be written.
    """
    config = job.config
    course = Course.begin(config)
    resumed: list[dict[str, Any]] = []
    checkpoints = Checkpoints(job.checkpoints, job.key)
    found = checkpoints.newest()
    if checkpoints.skipped:
        sys.stderr.writelines(f"passed over: {said}\n" for said in checkpoints.skipped)
        emit("update", details={"checkpoints_passed_over": checkpoints.skipped})
    if found:
        emit("note", text=f"resuming after epoch {found.epoch}")
        session.put_weights(found.weights)
        session.put_optimizer_state(found.optimizer)
        course, resumed = Course.resumed(found.progress["course"]), found.progress["attempts"]
        emit("update", details={"resumed": resumed})
        training.report(config, model, course, course.history, emit)

    def keep() -> None:
        epoch = len(course.history)
        attempt = {"epoch": epoch, "started": job.started, "contended": contention.found().verdict}
        more = {"course": course.to_mapping(), "attempts": [*resumed, attempt]}
        checkpoints.write(Checkpoint(epoch, session.weights(), session.optimizer_state(), more))
        emit("checkpoint", epoch=epoch)

    training.train(session, config, model, dataset, course, step_seconds=step_seconds, keep=keep, emit=emit)
    return [attempt["contended"] for attempt in resumed]
