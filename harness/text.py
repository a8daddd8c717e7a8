"""Text for one line of a message, a table or a terminal, and the streams that it is written to."""

import errno
import os
import signal
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

MAX_CHARACTERS = 500
ELLIPSIS = "…"
ASCII = {  # of characters that `unicodedata` knows no ASCII for
    "±": "+-", "×": "x", "∘": "*", "·": ".", "Σ": "sum", "∂": "d", "√": "sqrt", "‖": "||", "µ": "u",
    "≤": "<=", "≥": ">=", "→": "->", "←": "<-", "↦": "->", "–": "-", "—": "-", "−": "-", "†": "#", "✓": "+",
    "“": '"', "”": '"', "‘": "'", "’": "'", "─": "-", "│": "|",
}  # fmt: skip


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


def ascii_for(character: str) -> str:
    """What stands for a character in ASCII: `+-` for ±, `sigma` for σ, `2` for ², `e` for é, else `?`."""
    if character in ASCII:
        return ASCII[character]
    name = unicodedata.name(character, "")
    if name.startswith("GREEK ") and " LETTER " in name:
        return name.rpartition(" ")[2].lower()
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


class TolerantStream:
    """A text stream that is written to as far as it can be: nothing that goes wrong with it raises.

    A full disk, a reader that left and a closed file end no run. Characters that the encoding lacks are
    replaced. `problem` is the last error, None if everything was written.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.problem: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = "".join(c if c.encode(encoding, "ignore") else ascii_for(c) for c in text)
        self._attempt(self.stream.write, text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        self._attempt(self.stream.flush)

    def _attempt(self, call: Callable[..., object], *arguments: str) -> None:
        try:
            call(*arguments)
        except (OSError, ValueError) as problem:  # ValueError: it is closed
            self.problem = problem


def tolerant(stream: IO[str] | None) -> IO[str]:
    """A stream that is not this process's to replace, tolerant; None, a closed one, is written nowhere."""
    return cast(IO[str], TolerantStream(stream or _null_device()))


def warn(message: str) -> None:
    """Writes a line to standard error. Code that may run in somebody's own program writes its messages
    through this, so that none ends a run."""
    tolerant(sys.stderr).write(f"{message}\n")


def make_streams_tolerant() -> None:
    """Makes standard output and standard error of this process tolerant; for processes of this project."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # it is closed: a file that is opened later would take its place
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or _null_device()
        if not isinstance(stream, TolerantStream):
            setattr(sys, name, TolerantStream(stream))


def unwritten_output() -> str | None:
    """Why standard output could not be written, as a message; None if it was, or if nobody reads it."""
    sys.stdout.flush()
    problem = getattr(sys.stdout, "problem", None)
    if isinstance(problem, OSError) and problem.errno != errno.EPIPE:
        return f"standard output cannot be written: {problem.strerror}"
    return None


def _null_device() -> IO[str]:
    return Path(os.devnull).open("w", encoding="utf-8")
