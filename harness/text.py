"""Text from outside, made fit for one line of a table, a terminal or a message."""

import signal

MOST = 500  # characters
CUT = "…"


def one_line(text: str, most: int = MOST) -> str:
    """White space becomes single blanks, what cannot be printed its escape; a long text is cut."""
    start = " ".join(text.lstrip()[: 4 * most].split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in start)
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 1] + CUT


def shown(value: object, most: int = 200) -> str:
    """A value as Python writes it, on one line and cut; any value, however large or deep."""
    try:
        return one_line(repr(value), most)
    except (ValueError, RecursionError):  # an integer of too many digits, lists too deep within lists
        return f"<{type(value).__name__}>"


def ended(code: int) -> str:
    """How a process ended, from the exit status that `subprocess` gives it."""
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:  # one of the real-time signals, which have no name
        return f"ended by signal {-code}"
