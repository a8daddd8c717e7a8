"""Weights & Biases: runs of the project `logger.project`; offline runs are in `<results.root>/wandb`."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import wandb

from harness.config.schema import Config
from harness.launcher.loggers import fields
from harness.launcher.loggers.base import LoggedRun, directory
from harness.store.record import RunRecord
from harness.store.statuses import STATUSES

START_SECONDS = 10.0


class WandbLogger:
    """One run. W&B ignores a step that it has already. Offline, each attempt has a directory with all epochs,
    and the one that is synchronised last counts."""

    def __init__(self, config: Config, run: LoggedRun) -> None:
        settings = wandb.Settings(
            console="off",
            silent=True,
            disable_code=True,
            disable_git=True,
            init_timeout=START_SECONDS,
            login_timeout=START_SECONDS,
            x_disable_machine_info=True,
            x_disable_stats=True,  # sampling would disturb the cores that are measured
        )
        self.run = wandb.init(
            project=config.logger.project,
            id=run.id,
            name=run.name,
            group=run.key,
            dir=str(directory(config, "wandb").parent),
            config=config.to_mapping(),
            resume="allow",
            reinit="create_new",
            settings=settings,
        )
        self.location = self.run.dir if self.run.offline else str(self.run.url)

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        self.run.log(dict(metrics), step=number)

    def end(self, record: RunRecord, directory: Path | None) -> None:
        self.run.summary.update({**fields.metrics(record), **fields.tags(record)})
        self.run.tags = (*(tag for tag in self.run.tags or () if tag not in STATUSES), record.status)
        files = Path(self.run.dir)
        files.mkdir(parents=True, exist_ok=True)  # WANDB_MODE=disabled creates none
        (files / "record.json").write_text(record.to_json(), "utf-8")
        for path in fields.artifacts(record, directory):
            shutil.copy2(path, files)
        for path in files.iterdir():
            self.run.save(path, base_path=files, policy="end")
        self.run.finish(exit_code=0 if record.ok else 1)


def start(config: Config, run: LoggedRun) -> WandbLogger:
    """Starts the run."""
    return WandbLogger(config, run)
