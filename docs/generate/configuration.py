"""Every key of a configuration: default, what is allowed, meaning."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from docs.generate.markdown import table
from harness.config import sections
from harness.config.checks import Check
from harness.config.compose import CONF
from harness.config.schema import SECTIONS, Config
from harness.errors import ConfigError

HEAD = ("key", "default", "allowed", "meaning")


def keys() -> str:
    """One table for each group, then one for the keys without."""
    values = _defaults()
    groups = {"backend": sections.Backend, "cell": sections.Cell, **SECTIONS}
    parts = [
        f"### `{name}`\n\n" + table(HEAD, _rows(section, values[name], f"{name}."))
        for name, section in groups.items()
    ]
    return "\n".join([*parts, "### The rest\n\n" + table(HEAD, _rows(Config, values, ""))])


def groups() -> str:
    """What `GROUP=CHOICE` may be."""
    folders = sorted(path for path in CONF.iterdir() if path.is_dir())
    return table(
        ("group", "choices"),
        (
            (f"`{name}`", ", ".join(f"`{path.stem}`" for path in sorted(folder.glob("*.yaml"))))
            for folder in folders
            for name in [folder.name if folder.name != "experiment" else "+experiment"]
            if folder.name not in ("hydra", "size")
        ),
    )


def allowed(check: Check) -> str:
    """What a check lets pass, in the words in which it refuses."""
    try:
        check("", _Nothing())
    except ConfigError as error:
        words = str(error).partition(": ")[2].removeprefix("must be ")
    else:
        raise AssertionError("a check that lets anything pass")
    try:
        check("", None)
    except ConfigError:
        return words
    return f"{words}, or null"


class _Nothing:
    """No value of any key."""


def _defaults() -> dict[str, Any]:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        found = OmegaConf.to_container(compose("config"), resolve=False)
    assert isinstance(found, dict)
    return {str(name): value for name, value in found.items()}


def _rows(section: type, values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    described: list[Field[Any]] = [f for f in fields(section) if "check" in f.metadata]
    for f in described:
        default = values[f.name]
        shown = default if isinstance(default, str) else json.dumps(default)
        yield f"`{prefix}{f.name}`", f"`{shown}`", allowed(f.metadata["check"]), f.metadata["description"]
