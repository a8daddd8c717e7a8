"""What `run.py` does: compose with Hydra, check everything, run, show the table, say how it went."""

import os
import signal
import sys
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from harness.config.compose import CONF, UNREADABLE, command_line, explain, from_hydra, typed
from harness.sweep import dry_run, run_one, status_files
from harness.sweep.display import ProgressDisplay
from harness.sweep.finish import SweepResult, finish_runs
from harness.sweep.plan import check
from harness.sweep.pruning import SearchTrial
from harness.sweep.task import RunStatus, Task

INTERRUPTED = 130

display: ProgressDisplay | None = (
    None  # of this process' command; other processes that make its runs have none
)


def main() -> int:
    """Exit status: 0 all ok or complete, 1 some are not, 2 nothing could start, 130 interrupted."""
    global display
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions to us instead of printing them
    signal.signal(signal.SIGTERM, _interrupt)
    display = ProgressDisplay()
    place, interrupted, error = None, False, None
    try:
        plan = check(sys.argv[1:])
        if plan is not None:
            if plan.dry:
                return dry_run.show(plan.runs, plan.total)
            display.total = plan.total
            display.expect(RunStatus.expected(task) for task in plan.runs or ())
            if plan.directory is not None:
                place = plan.place
                _say_directory(plan.directory)
        with display.reading(place):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
    except KeyboardInterrupt:
        interrupted = True
    except UNREADABLE as problem:
        error = explain(problem)
    finally:
        display.stop()
    return _finish(
        finish_runs(display, place, interrupted=interrupted, failed=error is not None), interrupted, error
    )


def _finish(ending: SweepResult, interrupted: bool, error: str | None) -> int:
    if ending.records:
        from harness.report.table import show_runs  # pandas takes a while: not before the runs

        show_runs(ending.records)
    if interrupted:
        sys.stderr.write("interrupted: what was running is kept as `interrupted`, the rest was not started\n")
        return INTERRUPTED
    if error is not None:
        sys.stderr.write(f"{error}\n")
        return 1 if ending.entries else 2
    return ending.exit_status


def _say_directory(directory: str) -> None:
    """Hands Hydra the directory that was settled here, so that whoever makes a run finds the same one."""
    quoted = directory.replace("'", "\\'")
    overrides = get_args_parser().parse_args(sys.argv[1:]).overrides
    at = sys.argv.index(overrides[0]) if overrides else len(sys.argv)
    sys.argv.insert(at, f"hydra.sweep.dir='{quoted}'")


def task(composed: DictConfig) -> None:
    """What Hydra's own launchers call for every run, in this process or another."""
    settings = HydraConfig.get()
    several = settings.mode == RunMode.MULTIRUN
    config = from_hydra(composed)
    number = settings.job.num if several else 0
    run = Task(
        number,
        config.to_mapping(),
        command_line(typed(settings)),
        status_files.place(config.results.root, str(settings.sweep.dir)) if several else None,
        str(Path.cwd()),
        SearchTrial.of(settings, number) if several else None,
    )
    told = display.tell if display else None
    make = run_one.make if several else run_one.make_alone
    make(run, told, interactive=display is not None and display.interactive)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
