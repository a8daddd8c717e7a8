"""What `run.py` does: compose with Hydra, check everything, run, show the table, say how it went."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from harness import confined, feasible, store
from harness.config import Config
from harness.errors import HarnessError
from harness.launcher import Outcome, launch
from harness.overrides import readable
from harness.progress import Progress

CONF = Path(__file__).parent.parent / "conf"
INTERRUPTED = 130
UNREADABLE = (HydraException, OmegaConfBaseException, HarnessError, YAMLError)

outcomes: list[Outcome] = []
progress = Progress()


def main() -> int:
    """Exit status: 0 all ok or complete, 1 some are not, 2 nothing could start, 130 interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions to us instead of printing them
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        progress.total = check(sys.argv[1:])
        _task()
    except KeyboardInterrupt:
        _table()
        sys.stderr.write("interrupted: what was running is kept as `interrupted`, the rest was not started\n")
        return INTERRUPTED
    except UNREADABLE as error:
        _table()
        sys.stderr.write(f"{explain(error)}\n")
        return 1 if outcomes else 2
    _table()
    return exit_status(outcomes)


def exit_status(found: list[Outcome]) -> int:
    if found and not any(outcome.could_start for outcome in found):
        return 2
    return 0 if all(outcome.record.ok for outcome in found) else 1


def check(arguments: list[str]) -> int | None:
    """Composes and validates every run of the command before the first one starts.

    Returns how many there are, or None where that is not known (another sweeper, another command).
    """
    args = get_args_parser().parse_args(arguments)
    readable(args.overrides)
    if args.help or args.hydra_help or args.cfg or args.info or args.shell_completion:
        return None
    with _loader() as loader:
        whole = loader.load_configuration(args.config_name or "config", args.overrides, RunMode.MULTIRUN)
        sweeper = whole.hydra.sweeper
        if not (args.multirun or whole.hydra.mode == RunMode.MULTIRUN):
            config = from_hydra(loader.load_configuration("config", args.overrides, RunMode.RUN))
            confined.check(whole, args.overrides, Path(config.results.root))
            feasible.check(config)
            store.prepare(Path(config.results.root))
            return 1
        if not sweeper._target_.endswith(".BasicSweeper"):
            return None
        texts = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(texts + typed(whole.hydra))
        jobs = [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
        for job in jobs:
            config = from_hydra(loader.load_sweep_config(whole, list(job)))
            confined.check(whole, args.overrides, Path(config.results.root))
            feasible.check(config)
            store.prepare(Path(config.results.root))
        return len(jobs)


@contextmanager
def _loader() -> Iterator[ConfigLoader]:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        yield GlobalHydra.instance().config_loader()


def from_hydra(composed: DictConfig) -> Config:
    """A composed configuration, validated; raises ConfigError."""
    values = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(values, dict)
    values.pop("hydra", None)
    return Config.from_mapping({str(key): value for key, value in values.items()})


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _task(composed: DictConfig) -> None:
    config = from_hydra(composed)
    run_one(config, typed(HydraConfig.get()), progress)


def typed(hydra: Any) -> list[str]:
    """The overrides of a run as they were typed: `list` would replace what is in them."""
    found = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(found, list)
    return found


def run_one(config: Config, overrides: list[str], display: Progress) -> None:
    """Makes one run of a sweep and remembers its outcome; raises KeyboardInterrupt if it was one."""
    display.begin(config)
    try:
        outcome = launch(config, command=command_line(overrides), display=display)
    except HarnessError:
        display.stop()
        raise
    outcomes.append(outcome)
    display.end(outcome.record, reused=outcome.reused)
    if outcome.record.status == "interrupted":
        raise KeyboardInterrupt


def command_line(overrides: list[str]) -> str:
    """The command that makes this one run again."""
    return shlex.join(["python", "run.py", *overrides])


def explain(error: Exception) -> str:
    """An error's message in a few lines, without the name of an exception."""
    override = getattr(error, "override", None)  # Hydra's parser says what is wrong, but not where
    lines = [f"{override}: {error}" if override else str(error)]
    if isinstance(error.__cause__, OmegaConfBaseException | HydraException):
        lines.append(str(error.__cause__))
    text = "\n".join(lines)
    kept: list[str] = []
    for line in text.splitlines():
        if line.startswith("Config search path:"):
            break
        if line.startswith("\t") and kept:  # one of a list: choices side by side
            kept[-1] += (" " if kept[-1].endswith(":") else ", ") + line.strip()
        elif line.strip() and "object_type=" not in line:
            kept.append(line.rstrip())
    return "\n".join(dict.fromkeys(kept))


def _table() -> None:
    if not outcomes:
        return
    from harness.report.table import show_runs  # pandas takes a while: not before the runs

    show_runs([outcome.record for outcome in outcomes])


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
