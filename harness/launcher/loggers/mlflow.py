"""MLflow: runs of the experiment `logger.project`, on the server `logger.uri` or `$MLFLOW_TRACKING_URI`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.config.schema import Config
from harness.launcher.loggers import fields
from harness.launcher.loggers.base import LoggedRun, tracking_uri
from harness.measure.clock import now
from harness.store.record import RunRecord

# A server that does not answer is given up soon, and standard output is left to the table. A value that is
# already in the environment is kept.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)

from mlflow import MlflowClient  # noqa: E402  reads the settings from the environment
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

RUN_TAG = "harness.run"  # by which a resumed run is found again
BATCH_ITEMS = 100  # parameters or tags in one request
MAX_CHARACTERS = 5000  # of a tag or parameter
STATUSES = {"ok": "FINISHED", "interrupted": "KILLED", "pruned": "KILLED"}  # all others: FAILED


class MLflowLogger:
    """One run on the server."""

    def __init__(self, config: Config, run: LoggedRun) -> None:
        uri = tracking_uri(config)
        self.client = MlflowClient(uri)
        experiment = self._experiment(config.logger.project)
        existing = self._find(experiment, run) if run.resumed else None
        self.logged_epochs = 0
        if existing is None:
            tags = {RUN_TAG: run.id, "key": run.key}
            self.id = self.client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
            # MLflow does not let parameters change, and a resumed run may have another root or time limit
            values = fields.parameters(config)
            self._log(params=[Param(name, str(value)[:MAX_CHARACTERS]) for name, value in values.items()])
        else:
            self.id = existing
            self.client.update_run(existing, status="RUNNING")
            self.logged_epochs = self._last_epoch()
        self.location = f"{uri}/#/experiments/{experiment}/runs/{self.id}"

    def _experiment(self, name: str) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self.client.create_experiment(name))
            except MlflowException:  # another run may have created it at the same moment
                experiment = self.client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        return str(experiment.experiment_id)

    def _find(self, experiment: str, run: LoggedRun) -> str | None:
        runs = self.client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run.id}'", max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _last_epoch(self) -> int:
        """The last epoch that has been logged; all metrics of an epoch are logged together."""
        for name in self.client.get_run(self.id).data.metrics:
            if name.startswith("epoch/"):
                return max(metric.step for metric in self.client.get_metric_history(self.id, name))
        return 0

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        if number > self.logged_epochs:
            self._log(metrics=self._metrics(metrics, number))

    def end(self, record: RunRecord, directory: Path | None) -> None:
        self._log(metrics=self._metrics(fields.metrics(record), len(record.history)))
        tags = fields.tags(record)
        self._log(tags=[RunTag(name, value[:MAX_CHARACTERS]) for name, value in tags.items()])
        for path in fields.artifacts(record, directory):
            self.client.log_artifact(self.id, str(path))
        self.client.log_text(self.id, record.to_json(), "record.json")
        self.client.set_terminated(self.id, STATUSES.get(record.status, "FAILED"))

    def _metrics(self, values: Mapping[str, float], step: int) -> list[Metric]:
        milliseconds = round(1000 * now().timestamp())
        return [Metric(name, value, milliseconds, step) for name, value in values.items()]

    def _log(self, **items_by_kind: list[Any]) -> None:
        """In batches of a size that the server accepts."""
        for kind, items in items_by_kind.items():
            for first in range(0, len(items), BATCH_ITEMS):
                batch: dict[str, Any] = {kind: items[first : first + BATCH_ITEMS]}
                self.client.log_batch(self.id, **batch)


def start(config: Config, run: LoggedRun) -> MLflowLogger:
    """Creates the run on the server, or finds the one that is resumed."""
    return MLflowLogger(config, run)
