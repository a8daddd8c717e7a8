"""MLflow: runs of the experiment `logger.project`, on the server `logger.uri` or `$MLFLOW_TRACKING_URI`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.config.schema import Config
from harness.launcher.loggers import fields
from harness.launcher.loggers.base import Run, tracking_uri
from harness.measure.clock import now
from harness.store.record import RunRecord

# a person's own come first. A server that does not answer is given up soon; standard output is the table's
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)

from mlflow import MlflowClient  # noqa: E402  reads them from the environment
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

RUN = "harness.run"  # the tag by which a resumed run is found again
AT_ONCE = 100  # parameters or tags of one request
LONGEST = 5000  # characters of a tag or parameter
STATUSES = {"ok": "FINISHED", "interrupted": "KILLED", "pruned": "KILLED"}  # all others: FAILED


class Log:
    """One run on the server."""

    def __init__(self, config: Config, run: Run) -> None:
        uri = tracking_uri(config)
        self.client = MlflowClient(uri)
        experiment = self._experiment(config.logger.project)
        there = self._find(experiment, run) if run.resumed else None
        self.seen = 0
        if there is None:
            tags = {RUN: run.id, "key": run.key}
            self.id = self.client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
            # fixed from here on; a resumed run may be stored elsewhere, or have more time
            values = fields.parameters(config)
            self._put(params=[Param(name, str(value)[:LONGEST]) for name, value in values.items()])
        else:
            self.id = there
            self.client.update_run(there, status="RUNNING")
            self.seen = self._last_epoch()
        self.place = f"{uri}/#/experiments/{experiment}/runs/{self.id}"

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self.client.create_experiment(name))
            except MlflowException:  # another run has just made it
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _find(self, experiment: str, run: Run) -> str | None:
        found = self.client.search_runs([experiment], f"tags.`{RUN}` = '{run.id}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def _last_epoch(self) -> int:
        """That was told before; the metrics of an epoch come together."""
        for name in self.client.get_run(self.id).data.metrics:
            if name.startswith("epoch/"):
                return max(metric.step for metric in self.client.get_metric_history(self.id, name))
        return 0

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        if number > self.seen:
            self._put(metrics=self._metrics(metrics, number))

    def end(self, record: RunRecord, directory: Path | None) -> None:
        epochs = len(record.history)
        self._put(metrics=self._metrics(fields.metrics(record), epochs))
        self._put(tags=[RunTag(name, value[:LONGEST]) for name, value in fields.tags(record).items()])
        for path in fields.artefacts(record, directory):
            self.client.log_artifact(self.id, str(path))
        self.client.log_text(self.id, record.to_json(), "record.json")
        self.client.set_terminated(self.id, STATUSES.get(record.status, "FAILED"))

    def _metrics(self, values: Mapping[str, float], step: int) -> list[Metric]:
        at = round(1000 * now().timestamp())
        return [Metric(name, value, at, step) for name, value in values.items()]

    def _put(self, **kinds: list[Any]) -> None:
        """In requests that the server takes."""
        for kind, items in kinds.items():
            for first in range(0, len(items), AT_ONCE):
                some: dict[str, Any] = {kind: items[first : first + AT_ONCE]}
                self.client.log_batch(self.id, **some)


def begin(config: Config, run: Run) -> Log:
    """Makes the run on the server, or finds the one that is resumed."""
    return Log(config, run)
