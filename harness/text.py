"""Text for one line of a message, a table or a terminal."""

import signal

MAX_CHARACTERS = 500
ELLIPSIS = "…"


def one_line(text: str, limit: int = MAX_CHARACTERS) -> str:
    """The text on one line of at most `limit` characters; unprintable characters are escaped."""
    start = " ".join(text.lstrip()[: 4 * limit].split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in start)
    return line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 1] + ELLIPSIS


def short_repr(value: object, limit: int = 200) -> str:
    """The `repr` of any value, on one line of at most `limit` characters."""
    try:
        return one_line(repr(value), limit)
    except (ValueError, RecursionError):  # an integer with too many digits, lists nested too deeply
        return f"<{type(value).__name__}>"


def error_line(error: BaseException) -> str:
    """The type and message of an exception, on one line."""
    return one_line(f"{type(error).__name__}: {error}".removesuffix(": "))


def exit_description(code: int) -> str:
    """How a process ended, from the exit status that `subprocess` gives it."""
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:  # one of the real-time signals, which have no name
        return f"ended by signal {-code}"
