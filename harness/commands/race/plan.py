"""The two sides of a race, composed and checked as `run.py` does, before anything starts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.config.checks import refuse
from harness.config.compose import configuration
from harness.config.schema import Config
from harness.errors import HarnessError
from harness.launcher import launch

APART = re.compile(r"[\s,]+(?=[+~]?[\w./@]+=)")  # between two overrides


class RaceError(HarnessError):
    """Two sides that cannot be raced against one another; says why."""


@dataclass(frozen=True)
class Side:
    """`text` as it was typed, or `as configured` for nothing, what it is, how many cores it takes here, and
    the GPUs that would serve it."""

    text: str
    config: Config
    threads: int
    gpus: tuple[str, ...]

    @property
    def names_device(self) -> bool:
        return any(override.startswith("device=") for override in overrides(self.text))


def overrides(text: str) -> list[str]:
    """`backend=keras backend.engine=jax`, or with a comma between them."""
    return [part for part in APART.split(text.strip()) if part]


def side(text: str, common: Sequence[str]) -> Side:
    """Raises ConfigError for what `run.py` would refuse and for what has no updates to time; Unavailable for
    more cores, or another device, than there are; DataError."""
    config = configuration([*common, *overrides(text)])
    if config.mode == "stream":
        raise refuse("mode", config.mode, "a race times updates: train or throughput")
    if config.train.solver != "gradient":
        raise refuse("train.solver", config.train.solver, "a race times updates: gradient")
    threads, gpus = launch.resources(config)
    return Side(text.strip() or "as configured", config, threads, tuple(gpus))


def plan(a: str, b: str, common: Sequence[str]) -> tuple[Side, Side]:
    """Both sides; they may be the same."""
    return side(a, common), side(b, common)
