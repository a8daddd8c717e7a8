"""MLflow, with a real server: epochs, columns, files, and one run for all attempts."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import Shell, environment
from tests.support.checkpoints import KILLED_IN_EPOCH
from tests.support.children import sabotage
from tests.support.loggers import EPOCH, NUMPY, stored


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server with SQLite, on a free port of this machine."""
    place = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{place}/mlflow.db", "--workers", "1"]
    command += ["--artifacts-destination", str(place / "artefacts")]
    env = environment(MLFLOW_DISABLE_TELEMETRY="true")
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=place, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(uri):
            assert process.poll() is None, (place / "log").read_text()
            assert time.monotonic() < deadline, (place / "log").read_text()
            time.sleep(0.2)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(uri: str) -> bool:
    try:
        return requests.get(f"{uri}/health", timeout=2).ok
    except requests.RequestException:
        return False


def found_in(uri: str, experiment: str) -> tuple[Any, list[Any]]:
    """The server's client, and the experiment's runs."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    return client, list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


@pytest.mark.long
def test_mlflow_has_it_all_and_files_too(server: str, run: Shell, results: Path, tmp_path: Path) -> None:
    chosen = (*NUMPY, "logger=mlflow", f"logger.uri={server}", "logger.project=whole", "save_weights=true")
    done = run(*chosen)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| backend |")  # nothing but the table
    record = stored(results)
    client, (logged,) = found_in(server, "whole")
    assert logged.info.status == "FINISHED"
    assert logged.info.run_name == "numpy lstm-8 digits row seed 0"
    assert logged.data.params["train.epochs"] == "3"
    assert logged.data.params["cell.hidden"] == "8"
    assert logged.data.params["measure.targets"] == "[0.9, 0.95, 0.97, 0.98]"
    for name in EPOCH:
        history = client.get_metric_history(logged.info.run_id, f"epoch/{name}")
        assert [(m.step, m.value) for m in history] == [(e["epoch"], e[name]) for e in record.history]
    numbers = {name: value for name, value in vars(record).items() if type(value) in (int, float)}
    del numbers["schema"]
    assert len(numbers) > 30
    assert {name: logged.data.metrics[name] for name in numbers} == numbers
    tags = logged.data.tags
    assert (tags["status"], tags["command"], tags["kernel"]) == ("ok", record.command, record.kernel)
    directory = Path(str(record.record_path)).parent
    for name in ("record.json", "output.log", "weights.safetensors"):
        got = Path(client.download_artifacts(logged.info.run_id, name, str(tmp_path)))
        assert got.read_bytes() == (directory / name).read_bytes(), name
    assert record.details["logger"]["place"].endswith(logged.info.run_id)

    assert "complete already" in run(*chosen).stderr
    assert len(found_in(server, "whole")[1]) == 1


@pytest.mark.long
def test_a_killed_run_that_goes_on_is_one_run_in_mlflow(
    server: str, run: Shell, results: Path, shadow: Callable[[str, str], dict[str, str]]
) -> None:
    chosen = ("backend=numpy", "train.epochs=4", "train.checkpoint_epochs=2", "logger=mlflow")
    chosen += (f"logger.uri={server}", "logger.project=resumed")
    killed = run(*chosen, env=sabotage(shadow, KILLED_IN_EPOCH.format(epoch=3)))
    assert killed.returncode == 1, killed.stderr
    _, (logged,) = found_in(server, "resumed")
    assert (logged.info.status, logged.data.tags["status"]) == ("FAILED", "crashed")
    assert logged.data.tags["reason"] == stored(results).reason

    assert "resuming after epoch 2" in run(*chosen, "run.timeout_seconds=600").stderr
    client, (logged,) = found_in(server, "resumed")
    history = client.get_metric_history(logged.info.run_id, "epoch/train_loss")
    assert [m.step for m in history] == [1, 2, 3, 4]
    assert (logged.info.status, logged.data.tags["status"]) == ("FINISHED", "ok")
    assert logged.data.tags["reason"] == "", "why the attempt before it ended"
