"""What passes between launcher and child: the job going in, events coming out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config.schema import Config

# emit("note", text=…)                         what is being done now
# emit("phase", name=…)                        what the seconds go into from here on, see `measure.phases`
# emit("progress", epoch=…, step=…, …)         see `training.train`
# emit("update", fields=…, details=…, timing=…, history=…)   parts of the record, as they are known
# emit("checkpoint", epoch=…)                  there is one after this epoch; waits until it has been seen to
# emit("end", status=…, reason=…)              the last one
Emit = Callable[..., None]


@dataclass(frozen=True)
class Job:
    """One run as the launcher decided it: the configuration, what it may use, the directory for files,
    the SHA-256 that its own data file must have; its key, when this attempt started (ISO 8601), and the
    directory for its checkpoints.

    `gpu` is the CUDA device that it holds, by its name in this machine ("cuda:1"); the child sees no
    other, and so as its first.
    """

    config: Config
    threads: int
    cores: tuple[int, ...]
    gpu: str | None
    directory: Path
    data_sha256: str | None
    key: str
    started: str
    checkpoints: Path

    def to_mapping(self) -> dict[str, Any]:
        return {
            "config": self.config.to_mapping(),
            "threads": self.threads,
            "cores": list(self.cores),
            "gpu": self.gpu,
            "directory": str(self.directory),
            "data_sha256": self.data_sha256,
            "key": self.key,
            "started": self.started,
            "checkpoints": str(self.checkpoints),
        }

    @staticmethod
    def from_mapping(values: dict[str, Any]) -> "Job":
        return Job(
            config=Config.from_mapping(values["config"]),
            threads=values["threads"],
            cores=tuple(values["cores"]),
            gpu=values["gpu"],
            directory=Path(values["directory"]),
            data_sha256=values["data_sha256"],
            key=values["key"],
            started=values["started"],
            checkpoints=Path(values["checkpoints"]),
        )
