"""The ranking as a figure: every contender's speed relative to the fastest, with its interval."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.tournament.contender import TournamentError
from harness.commands.tournament.render import name
from harness.commands.tournament.result import Tournament
from harness.report.matplotlib_style import DASHED, INK, INSTALL, STYLE, save
from harness.report.palette import COLORS
from harness.report.scaling.plot import SUFFIXES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def check(path: Path) -> None:
    """Raises TournamentError for a file that no figure can be drawn into."""
    if path.suffix.lower() not in SUFFIXES:
        raise TournamentError(f"--plot {path}: must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise TournamentError(
            f"--plot {path}: matplotlib cannot be imported here ({error}); {INSTALL}"
        ) from error


def write(tournaments: Sequence[tuple[str, Tournament]], path: Path) -> None:
    """Draws a panel for each group, in the format of the file's suffix; raises OutputError."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    sizes = [len(tournament.standings()) for _, tournament in tournaments]
    with rc_context({**STYLE, "font.size": 9}):
        figure = Figure(figsize=(7, 0.6 * len(sizes) + 0.3 * sum(sizes) + 0.4), layout="constrained")
        panels = figure.subplots(len(sizes), 1, squeeze=False, height_ratios=sizes)[:, 0]
        for axes, (group, tournament) in zip(panels, tournaments, strict=True):
            axes.set_title(group, fontsize=9, loc="left")
            _draw(axes, tournament)
        panels[-1].set_xlabel("speed relative to the fastest; the same letter: cannot be told apart")
        save(figure, path, "--plot")


def _draw(axes: "Axes", tournament: Tournament) -> None:
    standings = tournament.standings()
    for place, each in enumerate(standings):
        ratio = each.ratio
        axes.plot(ratio.mean, place, "o", color=COLORS[0], markersize=5)
        if ratio.low is not None and ratio.high is not None:
            axes.plot((ratio.low, ratio.high), (place, place), color=COLORS[0], linewidth=1.4)
        axes.annotate(
            each.letters,
            (1, place),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
        )
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=DASHED)
    axes.set_xlim(left=0)
    axes.set_yticks(range(len(standings)), [name(tournament, each) for each in standings])
    axes.invert_yaxis()
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
