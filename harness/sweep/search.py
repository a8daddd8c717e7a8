"""The space of a hyperparameter search, from a command's own words.

`train.learning_rate=tag(log,interval(1e-4,1e-1))`   any number in between, evenly by its logarithm
`cell.hidden=range(32,257,32)`                       whole steps, the end left out
`cell=gru,lstm`                                      one of these
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, RangeSweep
from omegaconf import DictConfig

Suggest = Any  # an optuna.Trial


@dataclass(frozen=True)
class Choice:
    """One of several values, as they are written."""

    key: str
    values: tuple[str, ...]

    def ends(self) -> tuple[str, str]:
        return self.values[0], self.values[-1]

    def suggest(self, trial: Suggest) -> str:
        return str(trial.suggest_categorical(self.key, self.values))


@dataclass(frozen=True)
class Numbers:
    """A number from `low` to `high`, both included; whole ones if these are."""

    key: str
    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))

    def ends(self) -> tuple[str, str]:
        return str(self.low), str(self.high)

    def suggest(self, trial: Suggest) -> str:
        if self.whole:
            return str(trial.suggest_int(self.key, self.low, self.high, step=self.step or 1, log=self.log))
        return str(trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log))


Axis = Choice | Numbers


def space(overrides: Sequence[str], loader: ConfigLoader) -> tuple[list[str], list[Axis]]:
    """What is fixed, and what is searched; a later override of a key takes the place of an earlier one."""
    fixed: dict[str, str] = {}
    axes: dict[str, Axis] = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(list(overrides)):
        key = override.get_key_element()
        fixed.pop(key, None)
        axes.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = f"{key}={override.get_value_element_as_str()}"
            continue
        value = override.value()
        if isinstance(value, IntervalSweep):
            assert value.start is not None and value.end is not None  # noqa: PT018
            axes[key] = Numbers(key, value.start, value.end, log="log" in value.tags)
        elif isinstance(value, RangeSweep) and not value.shuffle:
            numbers = list(value.range())
            axes[key] = Numbers(key, numbers[0], numbers[-1], step=value.step)
        else:
            axes[key] = Choice(key, tuple(override.sweep_string_iterator()))
    return list(fixed.values()), list(axes.values())


def asked(whole: DictConfig) -> list[str]:
    """The overrides that a sweeper is given: those of its file, then those of the command."""
    own = [f"{key}={value}" for key, value in (whole.hydra.sweeper.get("params") or {}).items()]
    return own + list(whole.hydra.overrides.task)


def corners(whole: DictConfig, loader: ConfigLoader) -> list[list[str]]:
    """Two runs of the space: with the first of everything, and with the last."""
    fixed, axes = space(asked(whole), loader)
    return [[*fixed, *(f"{axis.key}={axis.ends()[end]}" for axis in axes)] for end in (0, 1)]
