"""The space of a hyperparameter search, from the overrides of a command.

`train.learning_rate=tag(log,interval(1e-4,1e-1))`   any number in the interval, uniform in its logarithm
`cell.hidden=range(32,257,32)`                       multiples of a step, the end excluded
`cell=gru,lstm`                                      one of these values
"""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, RangeSweep
from omegaconf import DictConfig

OptunaTrial = Any  # optuna.Trial; Optuna is an optional package


@dataclass(frozen=True)
class Categorical:
    """One of several values, as they are written in an override."""

    key: str
    values: tuple[str, ...]

    def ends(self) -> tuple[str, str]:
        """The first and the last value."""
        return self.values[0], self.values[-1]

    def suggest(self, trial: OptunaTrial) -> str:
        return str(trial.suggest_categorical(self.key, self.values))


@dataclass(frozen=True)
class Numeric:
    """A number from `low` to `high`, both included; an integer if both, and the step, are integers."""

    key: str
    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def is_integer(self) -> bool:
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))

    def ends(self) -> tuple[str, str]:
        """The lowest and the highest value."""
        return str(self.low), str(self.high)

    def suggest(self, trial: OptunaTrial) -> str:
        if self.is_integer:
            return str(trial.suggest_int(self.key, self.low, self.high, step=self.step or 1, log=self.log))
        return str(trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log))


Parameter = Categorical | Numeric


def parse(sweep_config: DictConfig, loader: ConfigLoader) -> tuple[list[str], list[Parameter]]:
    """The overrides that are the same for all runs, and the parameters that are searched.

    A later override of a key replaces an earlier one; the command's come after those of the sweeper's file.
    """
    params = sweep_config.hydra.sweeper.get("params") or {}
    overrides = [f"{key}={value}" for key, value in params.items()] + list(sweep_config.hydra.overrides.task)
    fixed: dict[str, str] = {}
    searched: dict[str, Parameter] = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(overrides):
        key = override.get_key_element()
        fixed.pop(key, None)
        searched.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = f"{key}={override.get_value_element_as_str()}"
            continue
        value = override.value()
        if isinstance(value, IntervalSweep):
            assert value.start is not None and value.end is not None  # noqa: PT018
            searched[key] = Numeric(key, value.start, value.end, log="log" in value.tags)
        elif isinstance(value, RangeSweep) and not value.shuffle:
            numbers = list(value.range())
            searched[key] = Numeric(key, numbers[0], numbers[-1], step=value.step)
        else:
            searched[key] = Categorical(key, tuple(override.sweep_string_iterator()))
    return list(fixed.values()), list(searched.values())


def corners(sweep_config: DictConfig, loader: ConfigLoader) -> list[list[str]]:
    """The overrides of two runs: the first or lowest value of every parameter, and the last or highest."""
    fixed, searched = parse(sweep_config, loader)
    return [[*fixed, *(f"{each.key}={each.ends()[end]}" for each in searched)] for end in (0, 1)]
