"""Executors make the runs of a sweep in other processes or on other machines: one module per executor.

Each has `execute(tasks, options)`, which calls `harness.sweep.run_one.make` for every task somewhere else and
returns when all of them have ended. It returns nothing: every run writes its own status file. A job that is
lost raises no error and ends no other job. On KeyboardInterrupt an executor stops all its jobs.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from harness.sweep.task import Task


def execute(executor: str, tasks: Sequence[Task], options: Mapping[str, Any]) -> None:
    """Makes every run with the executor of that name; `options` are those of `conf/hydra/launcher`."""
    import_module(f"{__name__}.{executor}").execute(tasks, options)
