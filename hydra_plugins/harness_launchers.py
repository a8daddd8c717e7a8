"""Hydra's launchers of this project: `hydra/launcher=joblib`, `ray`, `submitit_slurm`, `submitit_local`.

Hydra looks for launchers in this namespace only. How each works is in `harness.sweep.executors`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from harness.commands.run import HydraTask
from harness.sweep.executors import execute
from harness.sweep.order import arrange
from harness.sweep.plan import compose_task


class _ExecutorLauncher(Launcher):
    """Hands runs on to an executor; the options are those of `conf/hydra/launcher`."""

    executor: ClassVar[str]  # the name of a module of `harness.sweep.executors`

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        assert isinstance(task_function, HydraTask)
        self.function, self.loader, self.config = task_function, hydra_context.config_loader, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        last = initial_job_idx + len(job_overrides)
        tasks = list(self.function.planned[initial_job_idx:last]) or arrange(
            [
                compose_task(self.config, self.loader, overrides, number)
                for number, overrides in enumerate(job_overrides, initial_job_idx)
            ]
        )
        self.function.display.expect(tasks)
        execute(self.executor, tasks, {key: _plain(value) for key, value in self.options.items()})
        return [JobReturn(_return_value=None, status=JobStatus.COMPLETED) for _ in tasks]


class JoblibLauncher(_ExecutorLauncher):
    executor = "joblib"


class RayLauncher(_ExecutorLauncher):
    executor = "ray"


class SubmititLauncher(_ExecutorLauncher):
    executor = "submitit"


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
