"""For notebooks and scripts: overrides become a run and its record, or a session to experiment with."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config import dataset
from harness.config.checks import config_error
from harness.config.compose import command_line
from harness.launcher.preflight import checked_configuration
from harness.store import attempts
from harness.store.record import RunRecord
from harness.sweep.display import ProgressDisplay
from harness.sweep.run_one import make_alone
from harness.sweep.task import Task

if TYPE_CHECKING:
    from harness.backends.base import Session


def run(overrides: Sequence[str] = ()) -> RunRecord:
    """Makes the run of `python run.py *overrides`, or finds it complete, and returns its record.

    The record's `status` says how it ended. Raises HarnessError (ConfigError, DataError, …) if the run cannot
    start, and KeyboardInterrupt on Ctrl-C, after the record has been stored.
    """
    config = checked_configuration(overrides)
    if config.sweep.dry_run:
        raise config_error("sweep.dry_run", True, "is for the command: python run.py … sweep.dry_run=true")
    attempts.check_writable(config.results.root)
    display = ProgressDisplay(total=1)
    task = Task(0, config, command_line(overrides), None, str(Path.cwd()))
    try:
        return make_alone(task, display.update, interactive=display.interactive).record
    finally:
        display.stop()


def open_session(overrides: Sequence[str] = ()) -> "Session":
    """The model of a configuration in this process, with its initial weights or those of `weights=PATH`.

    `harness.backends.base.Session` describes its methods: outputs of any batch, states by name, gradients,
    updates. Raises ConfigError, WeightsError, DataError or Unavailable.
    """
    from harness.measure.devices import thread_count
    from harness.runner import context

    config = checked_configuration(overrides)
    threads = thread_count(config.threads, gpu=config.device.startswith("cuda"))
    setup = config.setup(dataset.shape_of(config), threads=threads, device=config.device)
    session = context.open_session(config.backend.name, setup)
    session.put_weights(context.initial_weights(config, setup))
    return session
