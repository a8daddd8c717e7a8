"""The command `tournament`: checks its options, runs every group, prints, stores and draws the result."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from harness.commands.tournament import competition, document, plot, records, render
from harness.commands.tournament.plan import Group, plan
from harness.commands.tournament.result import Heat, Rules, Tournament
from harness.launcher.titles import title_of
from harness.store import files

ROUNDS = 40  # of a heat: more of the same processes say nothing about how processes differ
# Of all comparisons together. A tournament looks at them after every heat: at a nominal 99 % it calls two to
# thirteen alike contenders alike in 98.9 % to 100 % of simulations: see `tests/bench/tournament.py`
LEVEL = 0.99


def main(
    overrides: Sequence[str],
    *,
    group: str | None,
    precision: float,
    limit: float,
    results: str | None,
    output: Path | None,
    picture: Path | None,
) -> int:
    """Returns the exit status: 0 if all contenders were timed, 1 if one failed or a record could not be
    stored, 130 if interrupted. Raises HarnessError for a tournament that cannot start."""
    competition.check_limits(precision, limit)
    for option, path in (("--output", output), ("--plot", picture)):
        if path is not None:
            files.check_output(path, option)
    if picture is not None:
        plot.check(picture)
    chosen = list(overrides)
    if results is not None:
        chosen.append(f"results.root={QuotedString(results, Quote.single).with_quotes()}")
    groups = plan(chosen, group)
    if any(each.config.sweep.dry_run for part in groups for each in part.contenders):
        sys.stdout.write("\n\n".join(map(_listed, groups)) + "\n")
        return 0
    command = shlex.join(["python", "-m", "harness", "tournament", *chosen])
    rules = Rules(precision, limit, ROUNDS, drop_out=True, level=LEVEL)
    status, held = 0, []
    for part in groups:
        tournament = competition.tournament(part.contenders, rules, part.unavailable)
        unstored: list[str] = []

        def heat_over(tournament: Tournament, heat: Heat, unstored: list[str] = unstored) -> None:
            unstored += records.store(tournament, heat, command)

        ended = competition.compete(tournament, render.progress_line, heat_over)
        status = max(status, ended, 1 if unstored else 0)
        if tournament.round_count:
            held.append((part.name, tournament))
            sys.stdout.write(render.render(tournament, part.name) + "\n\n")
        for problem in dict.fromkeys(unstored):
            sys.stderr.write(f"{problem}\n")
        if ended == competition.INTERRUPTED:
            break
    if held and output is not None:
        document.write(held, output)
    if held and picture is not None:
        plot.write(held, picture)
        sys.stdout.write(f"Drawn: {picture}\n")
    return status


def _listed(group: Group) -> str:
    """The contenders of a group, and why any cannot start."""
    lines = [f"{group.name}:"] if group.name else []
    for k, each in enumerate(group.contenders):
        why = f", cannot start: {group.unavailable[k].reason}" if k in group.unavailable else ""
        lines.append(f"- {each.name}: {title_of(each.config)}{why}")
    return "\n".join(lines)
