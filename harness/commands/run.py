"""What `run.py` does: compose with Hydra, check everything, run, show the table, say how it went."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from platformdirs import user_cache_dir
from yaml import YAMLError

from harness import store, sweep
from harness.config import hydra_paths
from harness.config.compose import readable
from harness.config.schema import Config
from harness.errors import ConfigError, HarnessError
from harness.launcher import preflight
from harness.sweep import Entry, Task, dry_run, search
from harness.sweep.display import Watch
from harness.sweep.pruning import Trial
from harness.sweep.settle import Ending, settle

CONF = Path(__file__).parents[2] / "conf"
INTERRUPTED = 130
UNREADABLE = (HydraException, OmegaConfBaseException, HarnessError, YAMLError)

watch: Watch | None = None  # of this process' command; other processes that make its runs have none


@dataclass(frozen=True)
class Plan:
    """What a command will do. `runs` is None where a sweeper chooses them as it goes, `total` where nobody
    knows how many; `directory` is the sweep's, `place` that of its documents, None for a single run."""

    runs: list[Task] | None
    total: int | None
    directory: str | None
    place: str | None
    dry: bool


def main() -> int:
    """Exit status: 0 all ok or complete, 1 some are not, 2 nothing could start, 130 interrupted."""
    global watch
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions to us instead of printing them
    signal.signal(signal.SIGTERM, _interrupt)
    watch = Watch()
    place, interrupted, error = None, False, None
    try:
        plan = check(sys.argv[1:])
        if plan is not None:
            if plan.dry:
                return dry_run.show(plan.runs, plan.total)
            watch.total = plan.total
            watch.expect(Entry.expected(task) for task in plan.runs or ())
            if plan.directory is not None:
                place = plan.place
                _say_directory(plan.directory)
        with watch.reading(place):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
    except KeyboardInterrupt:
        interrupted = True
    except UNREADABLE as problem:
        error = explain(problem)
    finally:
        watch.stop()
    return _finish(
        settle(watch, place, interrupted=interrupted, failed=error is not None), interrupted, error
    )


def _finish(ending: Ending, interrupted: bool, error: str | None) -> int:
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


def check(arguments: list[str]) -> Plan | None:
    """Composes and validates every run of the command before the first one starts.

    Returns None for another command than to run.
    """
    args = get_args_parser().parse_args(arguments)
    readable(args.overrides)
    if args.help or args.hydra_help or args.cfg or args.info or args.shell_completion:
        return None
    with _loader() as loader:
        whole = loader.load_configuration(args.config_name or "config", args.overrides, RunMode.MULTIRUN)
        if not (args.multirun or whole.hydra.mode == RunMode.MULTIRUN):
            composed = loader.load_configuration(args.config_name or "config", args.overrides, RunMode.RUN)
            alone = _checked(from_hydra(composed))
            _confined(whole, args.overrides, alone)
            run = Task(0, alone.to_mapping(), command_line(args.overrides), None, str(Path.cwd()))
            return Plan([run], 1, None, None, alone.sweep.dry_run)
        sweeper = whole.hydra.sweeper
        if not sweeper._target_.endswith(".BasicSweeper"):
            configs = [
                _checked(from_hydra(loader.load_sweep_config(whole, list(corner))))
                for corner in search.corners(whole, loader)
            ]
            for config in configs:
                _confined(whole, args.overrides, config)
            total, directory = sweeper.get("n_trials"), _directory(whole)
            place = sweep.place(configs[0].results.root, directory)
            return Plan(None, total, directory, place, any(config.sweep.dry_run for config in configs))
        texts = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(texts + typed(whole.hydra))
        jobs = [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
        runs = [task_of(whole, loader, job, number) for number, job in enumerate(jobs)]
        for run in runs:
            _confined(whole, args.overrides, Config.from_mapping(run.config))
        dry = any(run.config["sweep"]["dry_run"] for run in runs)
        return Plan(runs, len(runs), _directory(whole), runs[0].directory, dry)


def _checked(config: Config) -> Config:
    preflight.check(config)
    if not config.sweep.dry_run:
        store.prepare(config.results.root)
    return config


def task_of(whole: DictConfig, loader: ConfigLoader, overrides: Sequence[str], number: int) -> Task:
    """One run of a sweep whose own configuration is `whole`; raises what Hydra raises, and HarnessError."""
    composed = loader.load_sweep_config(whole, list(overrides))
    config = _checked(from_hydra(composed))
    command = command_line(typed(composed.hydra))
    directory = sweep.place(config.results.root, str(whole.hydra.sweep.dir))
    trial = Trial.of(whole.hydra, number)
    return Task(number, config.to_mapping(), command, directory, str(Path.cwd()), trial)


def _confined(whole: DictConfig, overrides: Sequence[str], config: Config) -> None:
    """Refuses an override by which Hydra would write elsewhere than in the results, or this user's cache."""
    hydra_paths.check(whole, overrides, store.local(config.results.root) or Path(user_cache_dir("harness")))


def _directory(whole: DictConfig) -> str:
    """The sweep's own directory, which is a local one wherever the results are."""
    directory = str(whole.hydra.sweep.dir)
    path = store.local(directory)
    return str(
        Path(user_cache_dir("harness")) / "sweeps" / directory.rpartition("/")[2]
        if path is None
        else path.absolute()
    )


def _say_directory(directory: str) -> None:
    """Hands Hydra the directory that was settled here, so that whoever makes a run finds the same one."""
    quoted = directory.replace("'", "\\'")
    overrides = get_args_parser().parse_args(sys.argv[1:]).overrides
    at = sys.argv.index(overrides[0]) if overrides else len(sys.argv)
    sys.argv.insert(at, f"hydra.sweep.dir='{quoted}'")


@contextmanager
def _loader() -> Iterator[ConfigLoader]:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf())):
        yield GlobalHydra.instance().config_loader()


def conf() -> Path:
    """The directory of what a person may choose; raises ConfigError in an installation without one."""
    if not CONF.is_dir():
        raise ConfigError(
            f"{CONF}: no such directory. What can be run is written there, in the project's checkout: "
            "install that with pip install --editable"
        )
    return CONF


def from_hydra(composed: DictConfig) -> Config:
    """A composed configuration, validated; raises ConfigError."""
    values = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(values, dict)
    values.pop("hydra", None)
    return Config.from_mapping({str(key): value for key, value in values.items()})


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
        sweep.place(config.results.root, str(settings.sweep.dir)) if several else None,
        str(Path.cwd()),
        Trial.of(settings, number) if several else None,
    )
    told = watch.tell if watch else None
    make = sweep.make if several else sweep.make_alone
    make(run, told, interactive=watch is not None and watch.interactive)


def typed(hydra: Any) -> list[str]:
    """The overrides of a run as they were typed: `list` would replace what is in them."""
    found = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(found, list)
    return found


def command_line(overrides: Sequence[str]) -> str:
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


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
