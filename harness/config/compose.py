"""Configurations composed with Hydra: from which files, and by which command again."""

import os
import shlex
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from harness.config import override_syntax
from harness.config.schema import Config
from harness.errors import ConfigError, HarnessError
from harness.text import one_line

CONF = Path(__file__).parents[2] / "conf"
CONFIG_NAME = "config"
HYDRA_VERSION = "1.3"  # whose behaviour is asked for
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, HarnessError, YAMLError)

_LOCK = threading.RLock()


@contextmanager
def config_loader(config_path: str | None = None, config_dir: str | None = None) -> Iterator[ConfigLoader]:
    """Hydra's loader of `conf/`, or of Hydra's options `--config-path` and `--config-dir`.

    It has no part in the global Hydra of an application around this one. What is global in any case, the
    version that Hydra behaves like, is put back at the end; one thread at a time has it.
    """
    with _LOCK:
        search_path = create_config_search_path(config_path or str(conf_directory()))
        if config_dir is not None:
            if not os.path.isdir(config_dir):  # noqa: PTH112  pathlib's raises at a name that is too long
                raise ConfigError(f"--config-dir {one_line(config_dir)}: no such directory")
            schema = SearchPathQuery(provider="schema")
            search_path.prepend("command-line", f"file://{Path(config_dir).absolute()}", anchor=schema)
        behaviour = version.VersionBase.instance()
        before = behaviour.version_base
        version.setbase(HYDRA_VERSION)
        try:
            yield ConfigLoaderImpl(search_path)
        finally:
            behaviour.version_base = before


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
    return _as_typed(hydra.overrides.task)


def command_line(overrides: Sequence[str]) -> str:
    """The command that makes this one run again."""
    return shlex.join(["python", "run.py", *overrides])


def command_of(hydra: Any, overrides: Sequence[str] | None = None) -> str:
    """The command that makes one composed run again, from the same files. `hydra` is Hydra's part of its
    configuration; `overrides` are the run's own unless given."""
    if overrides is None:
        search_path = [
            text for text in _as_typed(hydra.overrides.hydra) if text.startswith("hydra.searchpath=")
        ]
        overrides = [*search_path, *task_overrides(hydra)]
    return command_line([*_source_options(hydra), *overrides])


def _source_options(hydra: Any) -> list[str]:
    """Hydra's options that choose the files of a configuration, where they are not the usual ones."""
    options: list[str] = []
    for source in hydra.runtime.config_sources:
        path = source.path if source.schema == "file" else f"{source.schema}://{source.path}"
        if source.provider == "main" and path != str(CONF):
            options += ["--config-path", path]
        elif source.provider == "command-line":
            options += ["--config-dir", path]
    if hydra.job.config_name != CONFIG_NAME:
        options += ["--config-name", str(hydra.job.config_name)]
    return options


def _as_typed(overrides: Any) -> list[str]:
    typed = OmegaConf.to_container(overrides, resolve=False)
    assert isinstance(typed, list)
    return typed


def explain(error: Exception) -> str:
    """An error's message in a few lines, without the name of an exception."""
    if isinstance(error, OverrideParseException):  # Hydra's parser says what is wrong, but not where
        return override_syntax.explain(error)
    lines = [str(error)]
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
        with config_loader() as loader:
            override_syntax.check_parseable(overrides)
            override_syntax.check_single_values(overrides)
            return from_hydra(loader.load_configuration(CONFIG_NAME, list(overrides), RunMode.RUN))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error
