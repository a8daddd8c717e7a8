"""A side's process, from the outside."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness import process
from harness.api import configuration
from harness.backends.keras import engines
from harness.lease import Lease
from tests.bench.task import Task

ROOT = Path(__file__).parent.parent.parent
SIDES = tuple(sorted(path.stem for path in (Path(__file__).parent / "sides").glob("[!_]*.py")))
BACKENDS = ("numpy", "torch", "keras")


class SideFailed(Exception):
    """A side's process ended, or never got ready; says with what last words."""


@dataclass(frozen=True)
class Description:
    """A side in words: `session:backend=torch,implementation=fused`."""

    text: str
    name: str
    parameters: dict[str, Any]

    @property
    def backend(self) -> str:
        """The backend whose runs have the environment that this side gets."""
        named = str(self.parameters.get("backend") or self.name.split("_")[0])
        return named if named in BACKENDS else "numpy"


def parse(text: str) -> Description:
    """Raises ValueError for a side that there is not, and for what is not NAME:KEY=VALUE,…"""
    name, _, rest = text.partition(":")
    if name not in SIDES:
        raise ValueError(f"{text}: no side {name!r}; there are {', '.join(SIDES)}")
    pairs = [part.partition("=") for part in rest.split(",")] if rest else []
    if not all(key and equals and value for key, equals, value in pairs):
        raise ValueError(f"{text}: must be NAME or NAME:KEY=VALUE,KEY=VALUE")
    return Description(text, name, {key: _value(value) for key, _, value in pairs})


def _value(text: str) -> Any:
    """A number, true or false, or else a word."""
    with suppress(ValueError):
        return json.loads(text)
    return text


class Child:
    """Builds its side and warms it up as soon as it is made, in a process group of its own. Use as a
    context: the group is gone at its end."""

    def __init__(self, side: Description, task: Task, cores: Sequence[int], window_seconds: float) -> None:
        read, write = os.pipe()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  closed at the end of the context
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.side", str(write)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                pass_fds=[write],
                start_new_session=True,
                env=environment(side, cores),
            )
        finally:
            os.close(write)
        self.events = os.fdopen(read, encoding="utf-8")
        job = {
            "side": side.name,
            "parameters": side.parameters,
            "task": asdict(task),
            "cores": list(cores),
            "window_seconds": window_seconds,
        }
        self._say(json.dumps(job))

    def ready(self) -> dict[str, Any]:
        """Waits for it: updates in a window, FLOPs of an update, facts about it, its process.

        Raises SideFailed.
        """
        return self._heard()

    def window(self) -> float:
        """The seconds of one window; raises SideFailed."""
        self._say("go")
        return float(self._heard()["seconds"])

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.events.close()
        self.log.close()
        with suppress(BrokenPipeError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone: the end of its events says so
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def _heard(self) -> dict[str, Any]:
        line = self.events.readline()
        if line:
            event: dict[str, Any] = json.loads(line)
            return event
        code = self.process.wait()
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip().splitlines()
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        raise SideFailed(f"{how}: {said[-1].strip() if said else 'no output'}")


def environment(side: Description, cores: Sequence[int]) -> dict[str, str]:
    """That of a real run on these cores, which is set before anything is imported."""
    engine = side.parameters.get("engine") or ("tensorflow" if side.backend == "keras" else None)
    overrides = [f"backend={side.backend}", *([f"backend.engine={engine}"] if engine else [])]
    config = configuration([*overrides, "data=digits", "device=cpu"])
    more = engines.environment(engine, len(cores)) if engine else {}
    return process.environment(config, Lease(tuple(cores), None)) | more
