"""Loggers: what a run logs arrives once, and whatever goes wrong there does not end the run."""

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.launcher import launch
from harness.launcher.loggers import thread
from harness.launcher.loggers.thread import LoggerThread
from harness.store.checkpoint import Checkpoint, Checkpoints
from harness.store.record import RunRecord
from tests.conftest import ROOT, Shell, environment
from tests.support.configurations import composed
from tests.support.loggers import EPOCH, NUMPY, stored
from tests.support.records import record as made

STARTED = "2026-01-02T03:04:05.000006+00:00"


def entry(epoch: int) -> dict[str, Any]:
    """What a child says of an epoch."""
    return {"epoch": epoch, **dict.fromkeys(EPOCH, 1.0 / epoch)}


def interrupted(directory: Path, key: str) -> Path:
    """Checkpoints of a run that was killed after its second epoch."""
    attempts = [{"epoch": 2, "started": STARTED, "contended": None}]
    directory.mkdir(parents=True)
    Checkpoints(directory, key).write(Checkpoint(2, {}, {}, {"attempts": attempts}))
    return directory


def told(logger: LoggerThread, epochs: range, record: RunRecord) -> RunRecord:
    """A run's whole way with a logger, without the run."""
    logger.wait()
    for epoch in epochs:
        logger.epoch(entry(epoch))
    logger.end(record, None)
    return logger.annotated(record)


def events(results: Path) -> Any:
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))  # reads without TensorFlow
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (run,) = (results / "tensorboard").iterdir()
    found = EventAccumulator(str(run), size_guidance={"tensors": 0, "scalars": 0})
    found.Reload()
    return found


def series(found: Any, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars(name)]


def text(found: Any, name: str) -> str:
    return str(found.Tensors(name)[-1].tensor_proto.string_val[0].decode())


def test_tensorboard_has_epochs_columns_configuration_and_files(run: Shell, results: Path) -> None:
    done = run(*NUMPY, "logger=tensorboard", "save_weights=true")
    assert done.returncode == 0, done.stderr
    record, found = stored(results), events(results)
    for name in EPOCH:
        expected = [(e["epoch"], pytest.approx(e[name], rel=1e-6)) for e in record.history]
        assert series(found, f"epoch/{name}") == expected
    for name in ("test_accuracy", "train_throughput", "parity_gradient", "hidden", "peak_memory_bytes"):
        assert series(found, name) == [(3, pytest.approx(getattr(record, name), rel=1e-6))]
    assert '"epochs": 3' in text(found, "configuration")
    assert text(found, "status") == "ok"
    assert record.key in text(found, "record.json")
    assert Path(text(found, "weights.safetensors")).is_file()
    assert found.PluginTagToContent("hparams")
    logger = record.details["logger"]
    assert (logger["name"], logger["problem"]) == ("tensorboard", None)
    assert Path(logger["place"]) == next((results / "tensorboard").iterdir())

    again = run(*NUMPY, "save_weights=true")
    assert "complete already" in again.stderr  # a logger is no part of what a run is


def test_tensorboard_goes_on_with_the_same_run(results: Path) -> None:
    config = composed("logger=tensorboard", f"results.root={results}")
    told(LoggerThread(config, key="k", started=STARTED), range(1, 4), made("crashed", "ended by SIGKILL"))
    checkpoints = interrupted(results / "runs" / "k" / "checkpoint", "k")
    alone = LoggerThread(config, key="k", started="2026-01-02T09:00:00+00:00", checkpoints=checkpoints)
    told(alone, range(0), made("crashed", "its process ended without reporting a result"))
    assert [step for step, _ in series(events(results), "epoch/train_loss")] == [1, 2, 3]
    later = LoggerThread(config, key="k", started="2026-01-03T00:00:00+00:00", checkpoints=checkpoints)
    told(later, range(1, 6), made("ok", test_accuracy=0.5))
    found = events(results)
    assert series(found, "epoch/train_loss") == [(n, pytest.approx(1 / n)) for n in range(1, 6)]
    assert text(found, "status") == "ok"


@pytest.mark.long
def test_wandb_may_be_disabled_without_a_problem(run: Shell, results: Path) -> None:
    done = run(*NUMPY, "logger=wandb", env={"WANDB_MODE": "disabled"})
    assert done.returncode == 0, done.stderr
    assert stored(results).details["logger"]["problem"] is None


@pytest.mark.long
def test_every_launcher_tells(run: Shell, results: Path) -> None:
    done = run("-m", "backend=numpy", "seed=0,1", "logger=tensorboard", "hydra/launcher=joblib")
    assert done.returncode == 0, done.stderr
    assert len(list((results / "tensorboard").iterdir())) == 2


def wandb_records(path: Path) -> Iterator[Any]:
    """What an offline run holds: a header, then protocol buffers framed as LevelDB's log frames them."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole one, or the last part of one
            found = Record()
            found.ParseFromString(whole)
            whole = b""
            yield found


@pytest.mark.long
def test_wandb_offline_has_it_all_below_the_results(run: Shell, results: Path, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home"), "WANDB_MODE": "offline"}
    done = run(*NUMPY, "logger=wandb", "save_weights=true", env=home)
    assert done.returncode == 0, done.stderr
    record = stored(results)
    assert record.details["logger"]["problem"] is None
    assert "WARNING" not in done.stderr
    (directory,) = (results / "wandb").glob("offline-run-*")
    (path,) = directory.glob("run-*.wandb")
    found = list(wandb_records(path))
    *_, begun = (r.run for r in found if r.HasField("run"))
    assert list(begun.tags) == ["ok"]
    assert begun.run_id == record.details["logger"]["run"]
    config = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert config["train"]["epochs"] == 3
    rows = []
    for r in found:
        if r.HasField("history"):
            rows.append({"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in r.history.item})
    assert [row["epoch/train_loss"] for row in rows] == [e["train_loss"] for e in record.history]
    assert [row["_step"] for row in rows] == [1, 2, 3]
    summary = {}
    for r in found:
        for item in r.summary.update:
            summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    assert summary["test_accuracy"] == record.test_accuracy
    assert summary["status"] == "ok"
    for name in ("record.json", "output.log", "weights.safetensors"):
        assert (directory / "files" / name).is_file()
    assert not any((tmp_path / "home").rglob("*.safetensors"))


def test_a_server_that_is_away_costs_a_line(run: Shell, results: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        done = run(*NUMPY, "logger=mlflow", f"logger.uri={uri}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("logger=mlflow: ") == 1
    record = stored(results)
    assert record.ok
    assert "refused" in record.details["logger"]["problem"]


def test_a_server_that_never_answers_is_given_up(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(thread, "START_SECONDS", 0.1)
    monkeypatch.setattr(thread, "END_SECONDS", 0.2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        uri = f"http://127.0.0.1:{mute.getsockname()[1]}"
        config = composed("logger=mlflow", f"logger.uri={uri}", f"results.root={results}")
        record = told(LoggerThread(config, key="k", started=STARTED), range(1, 3), made("ok"))
    assert record.details["logger"]["problem"] == "not done 0.2 s after the run's end"
    assert capsys.readouterr().err.count("logger=mlflow") == 1


def test_a_record_is_stored_when_the_wait_for_its_logger_is_interrupted(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LoggerThread, "end", end)
    config = composed("logger=tensorboard", f"results.root={results}")
    logger = LoggerThread(config, key="k", started=STARTED)
    logger.wait()  # its thread is not to meet what the next test makes of the logger
    with pytest.raises(KeyboardInterrupt):
        launch._log_end_and_store(logger, replace(made("ok"), key="k"), str(results), could_start=True)
    assert stored(results).details["logger"]["name"] == "tensorboard"


@pytest.mark.parametrize("broken", ["start", "epoch", "end"])
def test_a_logger_that_breaks_is_left_alone(
    broken: str, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    class Log:
        location = "somewhere"

        def __init__(self, *_: object) -> None:
            self._call("start")

        def epoch(self, *_: object) -> None:
            self._call("epoch")

        def end(self, *_: object) -> None:
            self._call("end")

        def _call(self, name: str) -> None:
            calls.append(name)
            if name == broken:
                raise SystemExit("it has had enough")

    module = ModuleType("harness.launcher.loggers.tensorboard")
    module.start = Log  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "harness.launcher.loggers.tensorboard", module)
    config = composed("logger=tensorboard", f"results.root={results}")
    record = told(LoggerThread(config, key="k", started=STARTED), range(1, 4), made("ok"))
    assert record.details["logger"]["problem"] == "SystemExit: it has had enough"
    assert calls.count(broken) == 1
    assert calls[-1] == broken
    assert capsys.readouterr().err.count("it has had enough") == 1


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_told_before_anything_starts(
    name: str, run: Shell, results: Path, shadow: Callable[[str, str], dict[str, str]]
) -> None:
    env = shadow("sitecustomize", f"import sys\nsys.modules['{name}'] = None\n")
    done = run(f"logger={name}", env=env)
    assert done.returncode == 2
    assert f"{name} is not installed" in done.stderr
    assert f'pip install -c constraints.txt ".[{name}]"' in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(results.glob("runs/*/*"))


@pytest.mark.parametrize(
    ("overrides", "env", "said"),
    [
        (("logger=mlflow",), {}, "logger.uri=null: logger=mlflow needs its server"),
        (("logger=mlflow", "logger.uri=http://me:hunter2@there"), {}, "MLFLOW_TRACKING_PASSWORD"),
        (("logger=mlflow", "logger.uri='http://[bad'"), {}, "is not a URL: Invalid IPv6 URL"),
        (("logger=wandb",), {"WANDB_MODE": "bogus"}, "logger='wandb': it cannot start"),
        (("logger=mlflow",), {"MLFLOW_TRACKING_URI": "http://me:hunter2@there"}, "MLFLOW_TRACKING_PASSWORD"),
        (("logger=wandb",), {"HOME": "/nonexistent", "WANDB_MODE": "online"}, "WANDB_MODE=offline"),
        (("logger.name=paper",), {}, "logger.name='paper': must be one of none, tensorboard, mlflow, wandb"),
    ],
)
def test_what_cannot_begin_is_refused(
    overrides: tuple[str, ...], env: dict[str, str], said: str, run: Shell
) -> None:
    done = run(*overrides, env=env)
    assert done.returncode == 2
    assert said in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_no_logger_imports_a_framework(name: str) -> None:
    code = f"import sys, harness.launcher.loggers.{name}; "
    code += "print('torch' in sys.modules, 'tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.stdout == "False False\n", done.stderr
