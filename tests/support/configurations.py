"""Configurations composed as a command would."""

from typing import Any

from hydra import compose, initialize_config_dir

from harness.config.compose import CONF, from_hydra
from harness.config.schema import Config


def composed(*overrides: str) -> Config:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return from_hydra(compose("config", list(overrides)))


def keys(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in values.items():
        found += keys(value, (*prefix, key)) if isinstance(value, dict) else [(*prefix, key)]
    return found


DEFAULT = composed()


KEYS = keys(DEFAULT.to_mapping())
