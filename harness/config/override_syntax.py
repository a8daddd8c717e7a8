"""Overrides as they are typed: which of them Hydra's grammar cannot read, and how to write them instead."""

import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException, OverrideParseException

from harness.config.checks import LONGEST
from harness.errors import ConfigError
from harness.text import one_line

DEEPEST = 32  # lists within lists: OmegaConf takes several Python frames for each


def check_parseable(overrides: Sequence[str]) -> None:
    """Raises ConfigError for one that Hydra's parser ends over without a word of its own: a number of
    thousands of digits, lists within lists within lists, of which a process with a higher recursion limit
    reads more. Raises what Hydra raises for the others that it cannot read; `explain` says more about
    them."""
    parser = OverridesParser.create()
    for override in overrides:
        key = one_line(override.partition("=")[0], 120)
        try:
            (parsed,) = parser.parse_overrides([override])
            deep = _is_deep(parsed)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{key}: its value cannot be read: {one_line(str(error))}") from error
        if deep:
            raise ConfigError(f"{key}: lists within lists must be at most {DEEPEST} deep")


def _is_deep(parsed: Override) -> bool:
    value = parsed.value()
    level = list(value.list) if isinstance(value, ChoiceSweep) else [value]
    for _ in range(DEEPEST):
        inner = ([*each.values()] if isinstance(each, dict) else each for each in level)
        level = [part for each in inner if isinstance(each, list) for part in each]
    return any(isinstance(each, (list, dict)) for each in level)


def check_single_values(overrides: Sequence[str]) -> None:
    """Raises ConfigError for several values separated by commas, of which a single run can have only one."""
    for override, parsed in zip(
        overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True
    ):
        if parsed.value_type is ValueType.SIMPLE_CHOICE_SWEEP:
            key, _, value = override.partition("=")
            ways = ["add -m for a run of each", f"{shlex.quote(f'{key}=[{value}]')} is a list"]
            if text := quoted(override):
                ways.append(f"{text} is one text")
            raise ConfigError(f"{one_line(override)}: several values for one run: {', '.join(ways)}")


def explain(error: OverrideParseException) -> str:
    """What cannot be read, and how a shell is given its value as it stands."""
    text = quoted(error.override)
    if text is None:
        return f"{error.override}: {error}"
    reason = one_line(str(error).partition("\n")[0])
    if reason.startswith("Lexer"):  # the name of an exception, and the override once more
        reason = "a character that has to be in quotes"
    return f"{one_line(error.override)}: cannot be read ({reason}); for this value as it stands, type\n{text}"


def quoted(override: str) -> str | None:
    """The override as it is typed into a shell for its value to be taken as it stands; None where quotes do
    not help: the key cannot be read, or the value cannot be printed."""
    key, separator, value = override.partition("=")
    if not separator or not value.isprintable() or len(value) > LONGEST:
        return None
    text = f"{key}={QuotedString(value, Quote.double).with_quotes()}"
    try:
        parsed = OverridesParser.create().parse_override(text)
    except HydraException:
        return None
    return shlex.quote(text) if parsed.value() == value else None
