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
from harness.config.compose import check_parseable, command_line, config_loader, from_hydra, task_overrides
from harness.config.schema import Config
from harness.launcher import preflight
from harness.store import attempts, roots
from harness.sweep import search_space, status_files
from harness.sweep.pruning import SearchTrial
from harness.sweep.task import Task


@dataclass(frozen=True)
class Plan:
    """What a command will do.

    `tasks` is None for a search, which chooses its runs one after another, and `total` is None where their
    number is not known. `directory` is the sweep's and `status_directory` that of its status files; both are
    None for a single run.
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
    check_parseable(args.overrides)
    if args.help or args.hydra_help or args.cfg or args.info or args.shell_completion:
        return None
    config_name = args.config_name or "config"
    with config_loader() as loader:
        sweep_config = loader.load_configuration(config_name, args.overrides, RunMode.MULTIRUN)
        if args.multirun or sweep_config.hydra.mode == RunMode.MULTIRUN:
            return _plan_sweep(sweep_config, loader, args.overrides)
        config = _checked(from_hydra(loader.load_configuration(config_name, args.overrides, RunMode.RUN)))
        _check_hydra_paths(sweep_config, args.overrides, config)
    task = Task(0, config, command_line(args.overrides), None, str(Path.cwd()))
    return Plan([task], 1, None, None, config.sweep.dry_run)


def compose_task(
    sweep_config: DictConfig, loader: ConfigLoader, overrides: Sequence[str], number: int
) -> Task:
    """One validated run of a sweep. Raises what Hydra and OmegaConf raise, and HarnessError."""
    composed = loader.load_sweep_config(sweep_config, list(overrides))
    config = _checked(from_hydra(composed))
    command = command_line(task_overrides(composed.hydra))
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
    tasks = [compose_task(sweep_config, loader, job, number) for number, job in enumerate(jobs)]
    for task in tasks:
        _check_hydra_paths(sweep_config, overrides, task.config)
    return Plan(
        None if is_search else tasks,
        sweeper.get("n_trials") if is_search else len(tasks),
        _sweep_directory(sweep_config),
        tasks[0].directory,
        any(task.config.sweep.dry_run for task in tasks),
    )


def _checked(config: Config) -> Config:
    preflight.check(config)
    if not config.sweep.dry_run:
        attempts.check_writable(config.results.root)
    return config


def _check_hydra_paths(sweep_config: DictConfig, overrides: Sequence[str], config: Config) -> None:
    """Rejects an override that makes Hydra write elsewhere than to the results or this user's cache."""
    results = roots.local_path(config.results.root)
    hydra_paths.check(sweep_config, overrides, results or Path(user_cache_dir("harness")))


def _sweep_directory(sweep_config: DictConfig) -> str:
    """The sweep's own directory, which is a local one even where the results are at a URL."""
    directory = str(sweep_config.hydra.sweep.dir)
    path = roots.local_path(directory)
    if path is None:
        path = Path(user_cache_dir("harness")) / "sweeps" / directory.rpartition("/")[2]
    return str(path.absolute())
