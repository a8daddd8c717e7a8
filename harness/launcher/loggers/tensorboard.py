"""TensorBoard: event files in `<results.root>/tensorboard/<run>`.

Written with TensorBoard's record writer and protocol buffers, as its summary writers import a framework.
"""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from harness.config.schema import Config
from harness.launcher.loggers import fields
from harness.launcher.loggers.base import LoggedRun, directory
from harness.measure.clock import now
from harness.store.record import RunRecord


class TensorBoardLogger:
    """One run's event file."""

    def __init__(self, config: Config, run: LoggedRun) -> None:
        path = directory(config, "tensorboard") / run.id
        path.mkdir(exist_ok=True)
        self.location = str(path)
        name = f"events.out.tfevents.{now().timestamp():.6f}.{socket.gethostname()}.{os.getpid()}"
        self.writer = RecordWriter((path / name).open("xb"))
        self.step = 0
        self.repeats_epochs = run.resumed
        self._write(file_version="brain.Event:2")
        self._write(summary=hparams_pb(fields.parameters(config), start_time_secs=now().timestamp()))
        self._text("configuration", _code(json.dumps(config.to_mapping(), indent=1)))
        self.writer.flush()

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        if self.repeats_epochs:  # TensorBoard drops what it has of them
            self._write(session_log=SessionLog(status=SessionLog.START))
            self.repeats_epochs = False
        self.step = number
        self._scalars(metrics)
        self.writer.flush()

    def end(self, record: RunRecord, directory: Path | None) -> None:
        """Writes columns as scalars and texts, files as texts, and only the path of the weights."""
        self._scalars(fields.metrics(record))
        for name, tag in fields.tags(record).items():
            self._text(name, tag)
        self._text("record.json", _code(record.to_json()))
        for path in fields.artifacts(record, directory):
            weights = path.suffix == ".safetensors"
            self._text(path.name, str(path) if weights else _code(path.read_text("utf-8", "replace")))
        self.writer.close()

    def _scalars(self, values: Mapping[str, float]) -> None:
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(summary=Summary(value=scalars))

    def _text(self, name: str, text: str) -> None:
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode("utf-8", "replace")])
        value = Summary.Value(tag=name, metadata=create_summary_metadata(name, ""), tensor=tensor)
        self._write(summary=Summary(value=[value]))

    def _write(self, **content: object) -> None:
        event = Event(wall_time=now().timestamp(), step=self.step, **content)
        self.writer.write(event.SerializeToString())


def start(config: Config, run: LoggedRun) -> TensorBoardLogger:
    """Opens the run's event file."""
    return TensorBoardLogger(config, run)


def _code(text: str) -> str:
    """As a code block, which TensorBoard's Markdown shows unchanged."""
    return "".join(f"    {line}\n" for line in text.splitlines())
