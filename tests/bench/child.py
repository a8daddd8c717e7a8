"""The sides of a benchmark, and their processes from the outside."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.backends.keras import engines
from harness.commands.tournament.contender_process import ContenderProcess
from harness.config.compose import configuration
from harness.launcher import process
from harness.launcher.lease import Lease
from tests.bench.task import Task

ROOT = Path(__file__).parent.parent.parent
SIDES = tuple(sorted(path.stem for path in (Path(__file__).parent / "sides").glob("[!_]*.py")))
BACKENDS = ("numpy", "torch", "keras")


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


class Child(ContenderProcess):
    """Such a side, in the environment of a run on what is held. Use as a context."""

    def __init__(self, side: Description, task: Task, held: Lease, window_seconds: float) -> None:
        job = {
            "side": side.name,
            "parameters": side.parameters,
            "task": asdict(task),
            "cores": list(held.cores),
            "window_seconds": window_seconds,
        }
        super().__init__("tests.bench.side", job, environment(side, held), cwd=ROOT)


def environment(side: Description, held: Lease) -> dict[str, str]:
    """That of a real run on these cores and this GPU, which is set before anything is imported."""
    engine = side.parameters.get("engine") or ("tensorflow" if side.backend == "keras" else None)
    overrides = [f"backend={side.backend}", *([f"backend.engine={engine}"] if engine else [])]
    config = configuration([*overrides, "data=digits", "device=cpu"])  # the GPU is that of the lease
    more = engines.environment(engine, len(held.cores)) if engine else {}
    return process.environment(config, held) | more
