"""What Hydra itself would write, and where: nothing outside of the results."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from harness.config.checks import config_error
from harness.errors import ConfigError

Rule = Callable[[Any, Path], bool]


def _inside(value: Any, root: Path) -> bool:
    if not isinstance(value, str):
        return False
    path = Path(os.path.expanduser(value))  # noqa: PTH111  pathlib's raises where nobody is called so
    return path.resolve().is_relative_to(root.resolve())


def _here_or_inside(value: Any, root: Path) -> bool:
    """For a directory that Hydra makes itself: it does not replace `~`."""
    return value == "." or (not str(value).startswith("~") and _inside(value, root))


# what may be said of Hydra's keys, and in which words
RULES: dict[str, tuple[Rule, str]] = {
    "hydra.run.dir": (_here_or_inside, "must be ., or lie in results.root, without ~"),
    "hydra.sweep.dir": (_inside, "must lie in results.root"),
    "hydra.sweep.subdir": (lambda value, _: value == ".", "must be ."),
    "hydra.output_subdir": (lambda value, _: value is None, "must be null: a record holds its configuration"),
    "hydra.job.chdir": (lambda value, _: not value, "must be false or null"),
    "hydra.launcher.folder": (_inside, "must lie in results.root"),
    "hydra/job_logging": (lambda value, _: value in ("none", "disabled", "stdout"), "must be none or stdout"),
    "hydra/hydra_logging": (
        lambda value, _: value in ("none", "disabled", "stdout"),
        "must be none or stdout",
    ),
}
CLOSED = ("hydra.job_logging.", "hydra.hydra_logging.")  # they may name files


def check(composed: DictConfig, overrides: Sequence[str], root: Path) -> None:
    """Raises ConfigError for an override by which Hydra would write outside of the results in `root`.

    `composed` is what the overrides were composed to.
    """
    for override in overrides:
        key, _, text = override.lstrip("+~").partition("=")
        key = key.partition("@")[0].strip()
        if key.startswith(CLOSED):
            raise ConfigError(f"{key}: is not to be set; what a run prints is in its output.log")
        if key not in RULES:
            continue
        allowed, words = RULES[key]
        value = text if "/" in key else OmegaConf.select(composed, key)
        if not allowed(value, root):
            raise config_error(key, value, words)
