"""Shows a tournament: a line of progress, and the ranking as text."""

from harness.commands.tournament.interference import interference
from harness.commands.tournament.result import Standing, Tournament
from harness.report.table.formats.markdown import markdown
from harness.text import one_line

HEADS = (  # of the ranking
    "",
    "contender",
    "of the fastest",
    "interval",
    "sequences/s",
    "interval",
    "heats",
    "letters",
    "implementation",
)
ENDS = {
    "decided": "all others are told apart from the fastest",
    "stopped": "stopped",
    "failed": "too few contenders are left",
}


def progress_line(tournament: Tournament) -> str:
    """The result so far, after a round."""
    names = [name(tournament, each) for each in tournament.standings()]
    position = f"heat {len(tournament.heats)}, round {len(tournament.heats[-1].rounds)}"
    still = f"{len(tournament.remaining)} of {len(tournament.contenders)} still in"
    spent = f"{tournament.timed_seconds:.0f} of at most {tournament.rules.seconds:.0f} s"
    return f"{position}, {still}, {spent}; fastest so far: {', '.join(names[:3])}"


def name(tournament: Tournament, standing: Standing) -> str:
    return one_line(tournament.contenders[standing.contender].name, 80)


def sentence(tournament: Tournament, standings: list[Standing]) -> str:
    """`backend=numpy is the fastest: 1.27 times as fast as backend=torch [1.25, 1.29]`."""
    leader, *others = standings
    alike = [each for each in others if leader.shares_letter(each)]
    if alike:
        *most, last = [name(tournament, each) for each in (leader, *alike)]
        return f"{', '.join(most)} and {last} cannot be told apart: no other is faster"
    if not others:
        return f"{name(tournament, leader)}: nobody is left to compare with"
    what = others[0].ratio.inverse.with_interval(".3f", f" times as fast as {name(tournament, others[0])}")
    return f"{name(tournament, leader)} is the fastest: {what}"


def render(tournament: Tournament, group: str) -> str:
    """The result as text. Needs at least one round."""
    standings = tournament.standings()
    parts = [f"{group}: {sentence(tournament, standings)}" if group else sentence(tournament, standings)]
    parts += [_extent(tournament), _table(tournament, standings)]
    parts.append(
        "Contenders that share a letter cannot be told apart. Intervals are over heats, 95 % for all "
        "comparisons together."
    )
    if tournament.failures:
        failed = [
            f"- {one_line(tournament.contenders[k].name, 80)}: {failure.status}: {one_line(failure.reason)}"
            for k, failure in sorted(tournament.failures.items())
        ]
        parts.append("\n".join(["Out of the ranking:", "", *failed]))
    if lines := interference(tournament):
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _extent(tournament: Tournament) -> str:
    """How many heats and rounds there were, and why the tournament ended."""
    rules, count = tournament.rules, len(tournament.heats)
    reason = {
        "precise": f"all that are still in are within --precision {rules.precision:g}",
        "time": f"--seconds {rules.seconds:g} are over",
    } | ENDS
    cores = ", ".join(map(str, tournament.environment["cores"]))
    heats = "1 heat" if count == 1 else f"{count} heats"
    return (
        f"{heats} with new processes each, {tournament.round_count} rounds with a window of each contender, "
        f"in random order, on cores {cores}; {reason[tournament.ended]}."
    )


def _table(tournament: Tournament, standings: list[Standing]) -> str:
    rows = []
    for place, each in enumerate(standings, 1):
        properties = next(
            h.properties[each.contender] for h in tournament.heats if each.contender in h.properties
        )
        rows.append(
            [
                str(place),
                name(tournament, each),
                f"{each.ratio.mean:.3f}",
                each.ratio.interval(".3f") if place > 1 else "",
                f"{each.rate.mean:,.0f}",
                each.rate.interval(",.0f"),
                str(each.heats),
                each.letters,
                f"{properties['implementation']} ({properties['kernel']}), "
                f"{tournament.contenders[each.contender].threads} threads",
            ]
        )
    return markdown(HEADS, rows, 2)
