"""What the commands `race` and `tournament` share: checks their limits, runs, shows progress, and decides the
exit status."""

import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.commands.tournament import rounds
from harness.commands.tournament.contender import Contender, TournamentError
from harness.commands.tournament.result import Failure, Heat, Rules, Tournament
from harness.text import one_line

INTERRUPTED = 130


def check_limits(precision: float, limit: float) -> None:
    for option, value in (("--precision", precision), ("--seconds", limit)):
        if not value > 0:
            raise TournamentError(f"{option} {value:g}: must be above 0")


def tournament(
    contenders: Sequence[Contender], rules: Rules, unavailable: Mapping[int, Failure] | None = None
) -> Tournament:
    """A tournament that has not begun, its order drawn from a new seed."""
    made = Tournament(contenders, rules, secrets.randbits(32))
    for contender, failure in (unavailable or {}).items():
        made.fail(contender, failure)
    return made


def compete(
    tournament: Tournament,
    line: Callable[[Tournament], str],
    heat_over: Callable[[Tournament, Heat], None] = lambda tournament, heat: None,
) -> int:
    """Runs the tournament and shows its progress, which `line` describes. Returns the exit status: 0 if it is
    complete, 1 if a contender failed, 130 if it was interrupted. Raises HarnessError for one that cannot
    start.

    Without a complete round there is nothing to show but why, which is written to stderr.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ProgressLine().open() as shown:
            rounds.run(tournament, shown.show, lambda now: shown.show(line(now)), heat_over)
    except KeyboardInterrupt:
        sys.stderr.write("stopped before anything was measured\n")
        return INTERRUPTED
    if not tournament.round_count:
        for k in tournament.failures:
            sys.stderr.write(f"{failure_line(tournament, k)}\n")
    if tournament.ended == "stopped":
        return INTERRUPTED
    return 1 if tournament.failures else 0


def failure_line(tournament: Tournament, contender: int) -> str:
    return f"{tournament.contenders[contender].name}: {tournament.failures[contender].reason}"


class ProgressLine:
    """One line on stderr that is updated in place; nothing is shown if stderr is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

    @contextmanager
    def open(self) -> Iterator["ProgressLine"]:
        if self.live is None:
            yield self
            return
        with self.live:
            yield self

    def show(self, text: str) -> None:
        if self.live:
            self.live.update(Text(one_line(text), no_wrap=True, overflow="ellipsis"), refresh=True)
