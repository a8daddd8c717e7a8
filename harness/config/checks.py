"""What a configuration's values may be: functions (key, value) -> the value, or a ConfigError.

Every error names the key, the value found and what is allowed.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from harness.errors import ConfigError
from harness.model import cell
from harness.text import one_line, short_repr

Check = Callable[[str, Any], Any]
LONGEST = 4096  # characters of a text, as of a path


def config_error(key: str, value: object, allowed: str) -> ConfigError:
    """The one form of a configuration error."""
    return ConfigError(f"{key}={'null' if value is None else short_repr(value)}: {allowed}")


def integer(low: int, high: int = 2**31 - 1) -> Check:
    def check(key: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise config_error(key, value, f"must be a whole number from {low:,} to {high:,}")
        return value

    return check


def number(low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> Check:
    """A finite number between two bounds, which belong to it unless they are open."""
    left, right = "(" if open_low else "[", ")" if open_high else "]"

    def check(key: str, value: Any) -> float:
        good = not isinstance(value, bool) and isinstance(value, int | float)
        if good:
            good = low < value if open_low else low <= value  # false for nan
        if good:
            good = value < high if open_high else value <= high
        if not good:
            raise config_error(key, value, f"must be a number in {left}{low:g}, {high:g}{right}")
        return float(value) + 0.0  # -0.0 is 0.0: one number, one key

    return check


def choice(*allowed: str) -> Check:
    def check(key: str, value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise config_error(key, value, f"must be one of {', '.join(allowed)}")
        return value

    return check


def cell_option(option: cell.Option) -> Check:
    """The check of what a cell's `SPEC` offers."""
    match option:
        case cell.Choice(allowed, _):
            return choice(*allowed)
        case cell.Integer(low, high, _):
            return integer(low, high)
        case cell.Number(low, high, _, open_low):
            return number(low, high, open_low=open_low)


def boolean(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise config_error(key, value, "must be true or false")
    return value


def text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise config_error(key, value, "must be a non-empty printable text")
    if len(value) > LONGEST:
        raise config_error(key, value, f"must be at most {LONGEST:,} characters, not {len(value):,}")
    if "${" in value:
        raise config_error(
            key, value, "is taken as it stands, nothing in it is replaced: write the value itself"
        )
    return value


def optional(check: Check) -> Check:
    """The same check, or null."""

    def checked(key: str, value: Any) -> Any:
        return None if value is None else check(key, value)

    return checked


def fractions(key: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        raise config_error(key, value, "must be a list of numbers in (0, 1], like [0.95,0.98]")
    inside = number(0, 1, open_low=True)
    return tuple(sorted({inside(key, item) for item in value}))


def device(key: str, value: Any) -> str:
    plain = isinstance(value, str) and value in ("auto", "cpu", "cuda", "mps")
    indexed = (
        isinstance(value, str) and value.startswith("cuda:") and value[5:].isdecimal() and value.isascii()
    )
    if not (plain or indexed) or len(value) > 16:
        raise config_error(key, value, "must be auto, cpu, cuda, cuda:N or mps")
    return str(value)


def group(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise config_error(key, value, "must be a group of keys")
    return value


def reject_unknown_keys(values: Mapping[str, Any], known: list[str], prefix: str) -> None:
    """Raises ConfigError for a key that is not known, with the one that may have been meant."""
    for key in values:
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {prefix}{close[0]}?" if close else ""
            name = one_line(f"{prefix}{key}", 120)
            raise ConfigError(f"{name}: unknown key{hint} (known: {', '.join(known)})")
