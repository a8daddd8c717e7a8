"""Hydra's sweeper for hyperparameter search, `hydra/sweeper=optuna`; see `harness.sweep.optuna_search`."""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from harness.sweep.optuna_search import SearchOptions, run_search


class OptunaSweeper(Sweeper):
    """The options are those of `conf/hydra/sweeper/optuna.yaml`; `params` is read from the configuration."""

    def __init__(self, params: DictConfig | None, **options: Any) -> None:
        self.options = SearchOptions(**options)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config: DictConfig = config
        self.loader = hydra_context.config_loader
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        run_search(self.options, self.config, self.loader, self.launcher.launch)
