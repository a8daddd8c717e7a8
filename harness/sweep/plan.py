"""The runs of a command, composed and validated before the first one starts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig

from harness.config import hydra_paths, override_syntax
from harness.config.compose import CONFIG_NAME, command_of, config_loader, from_hydra, task_overrides
from harness.config.schema import Config
from harness.launcher import preflight
from harness.measure.directories import cache_directory
from harness.store import attempts, roots
from harness.sweep import search_space, status_files
from harness.sweep.order import arrange
from harness.sweep.pruning import SearchTrial
from harness.sweep.task import Task


@dataclass(frozen=True)
class Plan:
    """What a command will do.

    `tasks` are in the order in which they will be made, and are numbered in it; None for a search, which
    chooses its runs one after another. `total` is None where their number is not known. `directory` is the
    sweep's and `status_directory` that of its status files; both are None for a single run.
    """

    tasks: list[Task] | None
    total: int | None
    directory: str | None
    status_directory: str | None
    dry_run: bool


def make_plan(arguments: list[str]) -> Plan | None:
    """Composes and validates every run of the command; None if the command only asks Hydra for information.

    Raises what Hydra and OmegaConf raise, and HarnessError.
    """
    args = get_args_parser().parse_args(arguments)
    override_syntax.check_parseable(args.overrides)
    if args.help or args.hydra_help or args.cfg or args.info or args.shell_completion:
        return None
    config_name = args.config_name or CONFIG_NAME
    setup_globals()  # what ${now:…} in a directory's name is
    with config_loader(args.config_path, args.config_dir) as loader:
        sweep_config = loader.load_configuration(config_name, args.overrides, RunMode.MULTIRUN)
        if args.multirun or sweep_config.hydra.mode == RunMode.MULTIRUN:
            return _plan_sweep(sweep_config, loader, args.overrides)
        override_syntax.check_single_values(args.overrides)
        composed = loader.load_configuration(config_name, args.overrides, RunMode.RUN)
        config = from_hydra(composed)
        preflight.check(config)
        _check_hydra_paths(sweep_config, args.overrides, config)
    _check_start([config])
    task = Task(0, config, command_of(composed.hydra, args.overrides), None, str(Path.cwd()))
    return Plan([task], 1, None, None, config.sweep.dry_run)


def compose_task(
    sweep_config: DictConfig, loader: ConfigLoader, overrides: Sequence[str], number: int
) -> Task:
    """One validated run of a sweep. Raises what Hydra and OmegaConf raise, and HarnessError."""
    composed = loader.load_sweep_config(sweep_config, list(overrides))
    config = from_hydra(composed)
    preflight.check(config)
    roots.open_root(config.results.root)  # the directory's name is part of the sweep's: one error, not both
    command = command_of(composed.hydra)
    directory = status_files.status_directory(config.results.root, _sweep_directory(sweep_config))
    trial = SearchTrial.of(sweep_config.hydra, number)
    return Task(number, config, command, directory, str(Path.cwd()), trial)


def _plan_sweep(sweep_config: DictConfig, loader: ConfigLoader, overrides: Sequence[str]) -> Plan:
    sweeper = sweep_config.hydra.sweeper
    is_search = not sweeper._target_.endswith(".BasicSweeper")
    if is_search:
        jobs = search_space.corners(sweep_config, loader)
    else:
        params = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(
            params + task_overrides(sweep_config.hydra)
        )
        jobs = [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    composed = [compose_task(sweep_config, loader, job, number) for number, job in enumerate(jobs)]
    tasks = [replace(task, number=number) for number, task in enumerate(arrange(composed))]
    for task in tasks:
        _check_hydra_paths(sweep_config, overrides, task.config)
    _check_start([task.config for task in tasks])
    return Plan(
        None if is_search else tasks,
        sweeper.get("n_trials") if is_search else len(tasks),
        _sweep_directory(sweep_config),
        tasks[0].directory,
        any(task.config.sweep.dry_run for task in tasks),
    )


def _check_start(configs: Sequence[Config]) -> None:
    """Raises ConfigError, WeightsError or StoreError where a run could not start, or not store its record. A
    dry run writes nothing, and says of each run what it lacks."""
    configs = [config for config in configs if not config.sweep.dry_run]
    for config in configs:
        preflight.check_inputs(config)
    for root in dict.fromkeys(config.results.root for config in configs):
        attempts.check_writable(root)


def _check_hydra_paths(sweep_config: DictConfig, overrides: Sequence[str], config: Config) -> None:
    """Rejects an override that makes Hydra write elsewhere than to the results or this user's cache."""
    results = roots.local_path(config.results.root)
    hydra_paths.check(sweep_config, overrides, results or cache_directory())


def _sweep_directory(sweep_config: DictConfig) -> str:
    """The sweep's own directory, which is a local one even where the results are at a URL."""
    directory = str(sweep_config.hydra.sweep.dir)
    path = roots.local_path(directory, "hydra.sweep.dir")
    if path is None:
        path = cache_directory() / "sweeps" / directory.rpartition("/")[2]
    return str(path.absolute())
