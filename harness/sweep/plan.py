"""The runs of a command, composed and validated before the first one starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig
from platformdirs import user_cache_dir

from harness.config import hydra_paths
from harness.config.compose import _loader, command_line, from_hydra, readable, typed
from harness.config.schema import Config
from harness.launcher import preflight
from harness.store import attempts, roots
from harness.sweep import search, status_files
from harness.sweep.pruning import SearchTrial
from harness.sweep.task import Task


@dataclass(frozen=True)
class Plan:
    """What a command will do. `runs` is None where a sweeper chooses them as it goes, `total` where nobody
    knows how many; `directory` is the sweep's, `place` that of its documents, None for a single run."""

    runs: list[Task] | None
    total: int | None
    directory: str | None
    place: str | None
    dry: bool


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
            place = status_files.place(configs[0].results.root, directory)
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
        attempts.prepare(config.results.root)
    return config


def task_of(whole: DictConfig, loader: ConfigLoader, overrides: Sequence[str], number: int) -> Task:
    """One run of a sweep whose own configuration is `whole`; raises what Hydra raises, and HarnessError."""
    composed = loader.load_sweep_config(whole, list(overrides))
    config = _checked(from_hydra(composed))
    command = command_line(typed(composed.hydra))
    directory = status_files.place(config.results.root, str(whole.hydra.sweep.dir))
    trial = SearchTrial.of(whole.hydra, number)
    return Task(number, config.to_mapping(), command, directory, str(Path.cwd()), trial)


def _confined(whole: DictConfig, overrides: Sequence[str], config: Config) -> None:
    """Refuses an override by which Hydra would write elsewhere than in the results, or this user's cache."""
    hydra_paths.check(whole, overrides, roots.local(config.results.root) or Path(user_cache_dir("harness")))


def _directory(whole: DictConfig) -> str:
    """The sweep's own directory, which is a local one wherever the results are."""
    directory = str(whole.hydra.sweep.dir)
    path = roots.local(directory)
    return str(
        Path(user_cache_dir("harness")) / "sweeps" / directory.rpartition("/")[2]
        if path is None
        else path.absolute()
    )
