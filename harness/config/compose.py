"""Overrides as they are typed, read as far as to say which of them cannot be."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from harness.config.schema import Config
from harness.errors import ConfigError, HarnessError
from harness.text import one_line


def check_parseable(overrides: Sequence[str]) -> None:
    """Raises ConfigError for one that Hydra's parser ends over without a word of its own: a number of
    thousands of digits, lists within lists within lists. What it refuses itself is left to it."""
    parser = OverridesParser.create()
    for override in overrides:
        try:
            parser.parse_overrides([override])
        except (ValueError, RecursionError) as error:
            key = one_line(override.partition("=")[0], 120)
            raise ConfigError(f"{key}: its value cannot be read: {one_line(str(error))}") from error


CONF = Path(__file__).parents[2] / "conf"


COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, HarnessError, YAMLError)


@contextmanager
def config_loader() -> Iterator[ConfigLoader]:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        yield GlobalHydra.instance().config_loader()


def conf_directory() -> Path:
    """The directory of what a person may choose; raises ConfigError in an installation without one."""
    if not CONF.is_dir():
        raise ConfigError(
            f"{CONF}: no such directory. What can be run is written there, in the project's checkout: "
            "install that with pip install --editable"
        )
    return CONF


def from_hydra(composed: DictConfig) -> Config:
    """A composed configuration, validated; raises ConfigError."""
    values = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(values, dict)
    values.pop("hydra", None)
    return Config.from_mapping({str(key): value for key, value in values.items()})


def task_overrides(hydra: Any) -> list[str]:
    """The overrides of a run as they were typed: `list` would replace what is in them."""
    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(overrides, list)
    return overrides


def command_line(overrides: Sequence[str]) -> str:
    """The command that makes this one run again."""
    return shlex.join(["python", "run.py", *overrides])


def explain(error: Exception) -> str:
    """An error's message in a few lines, without the name of an exception."""
    override = getattr(error, "override", None)  # Hydra's parser says what is wrong, but not where
    lines = [f"{override}: {error}" if override else str(error)]
    if isinstance(error.__cause__, OmegaConfBaseException | HydraException):
        lines.append(str(error.__cause__))
    text = "\n".join(lines)
    kept: list[str] = []
    for line in text.splitlines():
        if line.startswith("Config search path:"):
            break
        if line.startswith("\t") and kept:  # one of a list: choices side by side
            kept[-1] += (" " if kept[-1].endswith(":") else ", ") + line.strip()
        elif line.strip() and "object_type=" not in line:
            kept.append(line.rstrip())
    return "\n".join(dict.fromkeys(kept))


def configuration(overrides: Sequence[str] = ()) -> Config:
    """The configuration that `python run.py *overrides` composes, validated; raises ConfigError.

    Neither the data nor the logger is looked at: see `harness.launcher.preflight`.
    """
    try:
        check_parseable(overrides)
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
            return from_hydra(compose("config", list(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error
