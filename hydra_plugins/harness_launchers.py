"""Hydra's launchers for this project: `hydra/launcher=joblib`, `ray`, `submitit_slurm`, `submitit_local`.

Hydra finds them here because its plugins live in this namespace; how each works is in
`harness.sweep.executors`. What is needed to make a run travels as plain data, so that no process but the
first needs Hydra.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from harness.commands import run
from harness.sweep import plan
from harness.sweep.task import RunStatus


class _Spread(Launcher):
    """A launcher by the name of its module in `harness.sweep.executors`; `options` are those in conf/."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.loader, self.config = hydra_context.config_loader, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        tasks = [
            plan.task_of(self.config, self.loader, overrides, initial_job_idx + number)
            for number, overrides in enumerate(job_overrides)
        ]
        if run.display is not None:
            run.display.expect(RunStatus.expected(task) for task in tasks)
        self.spread(tasks, {key: _plain(value) for key, value in self.options.items()})
        return [JobReturn(_return_value=None, status=JobStatus.COMPLETED) for _ in tasks]

    @abstractmethod
    def spread(self, tasks: Sequence[Any], options: dict[str, Any]) -> None: ...


class JoblibLauncher(_Spread):
    def spread(self, tasks: Sequence[Any], options: dict[str, Any]) -> None:
        from harness.sweep.executors import joblib

        joblib.spread(tasks, options)


class RayLauncher(_Spread):
    def spread(self, tasks: Sequence[Any], options: dict[str, Any]) -> None:
        from harness.sweep.executors import ray

        ray.spread(tasks, options)


class SubmititLauncher(_Spread):
    def spread(self, tasks: Sequence[Any], options: dict[str, Any]) -> None:
        from harness.sweep.executors import submitit

        submitit.spread(tasks, options)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
