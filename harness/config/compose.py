"""Overrides as they are typed, read as far as to say which of them cannot be."""

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

from harness.errors import ConfigError
from harness.text import one_line


def readable(overrides: Sequence[str]) -> None:
    """Raises ConfigError for one that Hydra's parser ends over without a word of its own: a number of
    thousands of digits, lists within lists within lists. What it refuses itself is left to it."""
    parser = OverridesParser.create()
    for override in overrides:
        try:
            parser.parse_overrides([override])
        except (ValueError, RecursionError) as error:
            key = one_line(override.partition("=")[0], 120)
            raise ConfigError(f"{key}: its value cannot be read: {one_line(str(error))}") from error
