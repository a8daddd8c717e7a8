"""`run.py`: makes one run, or with `-m` a sweep, and prints their table."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig

from harness.config.compose import (
    COMPOSITION_ERRORS,
    CONF,
    CONFIG_NAME,
    HYDRA_VERSION,
    command_of,
    explain,
    from_hydra,
)
from harness.config.sections import GIVEN
from harness.measure.directories import expand_user
from harness.store.record import RunRecord
from harness.sweep import dry_run, run_one, status_files
from harness.sweep.display import ProgressDisplay
from harness.sweep.finish import finish_runs
from harness.sweep.plan import Plan, make_plan
from harness.sweep.pruning import SearchTrial
from harness.sweep.task import Task

INTERRUPTED = 130


def main() -> int:
    """Returns the exit status: 0 if all runs are ok or complete, 1 if some are not, 2 if none could start,
    130 if interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises exceptions instead of printing them
    signal.signal(signal.SIGTERM, _interrupt)
    display = ProgressDisplay()
    plan, interrupted, error = None, False, None
    try:
        sys.argv += _absolute_options(sys.argv[1:])
        plan = make_plan(sys.argv[1:])
        if plan is not None and plan.dry_run:
            return dry_run.show(plan.tasks, plan.total)
        _make_runs(plan, display)
    except KeyboardInterrupt:
        interrupted = True
    except COMPOSITION_ERRORS as problem:
        error = explain(problem)
    finally:
        display.stop()
    status_directory = plan.status_directory if plan else None
    result = finish_runs(display, status_directory, interrupted=interrupted, failed=error is not None)
    _print_table(result.records)
    if interrupted:
        sys.stderr.write(
            "interrupted: the runs in progress are stored as `interrupted`, the others were not started\n"
        )
        return INTERRUPTED
    if error is not None:
        sys.stderr.write(f"{error}\n")
        return 1 if result.runs else 2
    return result.exit_status


def _make_runs(plan: Plan | None, display: ProgressDisplay) -> None:
    """Lets Hydra make the runs, or print what it was asked for if `plan` is None."""
    if plan is not None:
        display.total = plan.total
        display.expect(plan.tasks or ())
        if plan.directory is not None:
            _set_sweep_directory(plan.directory)
    function = HydraTask(display, (plan and plan.tasks) or ())
    with display.following(plan.status_directory if plan else None):
        hydra.main(version_base=HYDRA_VERSION, config_path=str(CONF), config_name=CONFIG_NAME)(function)()


def _set_sweep_directory(directory: str) -> None:
    """Adds the planned directory to the overrides, the last of which counts, so that every process of the
    sweep uses the same one."""
    quoted = QuotedString(directory, Quote.single).with_quotes()
    overrides = get_args_parser().parse_args(sys.argv[1:]).overrides
    at = sys.argv.index(overrides[0]) + len(overrides) if overrides else len(sys.argv)
    sys.argv.insert(at, f"hydra.sweep.dir={quoted}")


def _absolute_options(arguments: Sequence[str]) -> list[str]:
    """Hydra's options that name directories, again with absolute paths: of an option that is given twice the
    last counts. Hydra would look for a relative `--config-path` beside this file, and leaves `~` as it is."""
    args = get_args_parser().parse_args(arguments)
    options: list[str] = []
    for option, path in (("--config-path", args.config_path), ("--config-dir", args.config_dir)):
        if path is not None and "://" not in path:
            options += [option, str(expand_user(path, option).absolute())]
    return options


class HydraTask:
    """The function that Hydra calls with the configuration of each run that this process makes.

    Launchers that make runs in other processes take the display and the planned runs from here; `planned` is
    empty for a search, which chooses its runs one after another. Planned runs are in the order of
    `sweep.order`: the nth job that Hydra starts makes the nth of them, whichever run Hydra had in that place.
    """

    def __init__(self, display: ProgressDisplay, planned: Sequence[Task] = ()) -> None:
        self.display = display
        self.planned = planned

    def __call__(self, composed: DictConfig) -> None:
        settings = HydraConfig.get()
        is_sweep = settings.mode == RunMode.MULTIRUN
        number = settings.job.num if is_sweep else 0
        task = self.planned[number] if self.planned else _task_of_search(composed, settings, number)
        make = run_one.make if is_sweep else run_one.make_alone
        make(task, self.display.update, interactive=self.display.interactive)


def _task_of_search(composed: DictConfig, settings: HydraConf, number: int) -> Task:
    """The run that a search has just chosen; raises ConfigError."""
    config = from_hydra(composed)
    directory = status_files.status_directory(config.results.root, str(settings.sweep.dir))
    trial = SearchTrial.of(settings, number)
    place = {"order": GIVEN, "place": number + 1}
    return Task(number, config, command_of(settings), directory, str(Path.cwd()), trial, place)


def _print_table(records: list[RunRecord]) -> None:
    if records:
        from harness.report.table.terminal import show_runs  # imports pandas, which would delay the runs

        show_runs(records)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
