"""The two sides of a race: composed and checked as `run.py` does, before anything starts."""

import re
from collections.abc import Sequence

from harness.commands.tournament.contender import Contender, check_timeable, contender
from harness.launcher import preflight

SEPARATOR = re.compile(r"[\s,]+(?=[+~]?[\w./@]+=)")  # between two overrides


def overrides(text: str) -> list[str]:
    """The overrides of a side: `backend=keras backend.engine=jax`, separated by blanks or commas."""
    return [part for part in SEPARATOR.split(text.strip()) if part]


def side(text: str, common: Sequence[str]) -> Contender:
    """A side by its overrides, named as it was typed. Raises ConfigError for an invalid configuration, and
    what `contender` raises."""
    config = preflight.checked_configuration([*common, *overrides(text)])
    check_timeable(config, "race")
    names_device = any(override.startswith("device=") for override in overrides(text))
    return contender(text.strip() or "as configured", config, names_device=names_device)


def plan(a: str, b: str, common: Sequence[str]) -> tuple[Contender, Contender]:
    """Both sides. They may be the same configuration."""
    return side(a, common), side(b, common)
