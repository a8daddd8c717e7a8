"""From runs to the page and the figures for papers."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.measure.directories import substitute_home
from harness.report.format import text
from harness.report.grouping import grouped
from harness.report.page import (
    confusion,
    gradient_flow,
    learning_curves,
    matplotlib,
    roofline,
    run_table,
    scaling,
    stream,
    summary,
    throughput,
)
from harness.report.page.figures import Bars, Chart, Figure, Lines
from harness.report.page.matrix import result_matrix
from harness.report.page.runs import ReportError, read
from harness.report.page.series import comparable_sets
from harness.report.palette import REFERENCE_MARKERS, SHAPES, color_index, shape_index
from harness.store import files
from harness.store.record import RunRecord

TIMED = ("train", "throughput")  # modes that time updates
TEMPLATES = Path(__file__).parent / "templates"
INSTALL = "install it: pip install -c constraints.txt altair vl-convert-python jinja2"


def report(output: Path, results: str, filters: Sequence[str], plots: Path | None) -> list[Path]:
    """Writes the page, and the figures for papers where a directory is given; returns the files.

    Raises HarnessError, before anything is read where it can be known by then.
    """
    files.check_output(output)
    _check_packages()
    if plots is not None:
        matplotlib.check(plots)
    runs = read(results, filters)
    figures = make_figures(runs)
    html = render(runs, figures, filters)
    files.write_output(output, html.encode())
    return [output, *(matplotlib.write(plots, figures) if plots is not None else [])]


def _check_packages() -> None:
    try:
        with substitute_home():
            import altair  # noqa: F401
        import jinja2  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise ReportError(
            f"a report needs a package that cannot be imported here ({error}); {INSTALL}"
        ) from error


def make_figures(runs: Sequence[RunRecord]) -> list[Figure]:
    """All figures, with or without data."""
    trained, timed = comparable_sets(runs, "train"), comparable_sets(runs, *TIMED)
    return [
        learning_curves.learning_curves_figure(trained),
        throughput.throughput_figure(timed),
        scaling.scaling_figure(runs),
        roofline.roofline_figure(timed),
        gradient_flow.gradient_flow_figure(
            [one for one in trained if any("gradient_flow_after" in run.details for run in one.runs)]
        ),
        stream.stream_figure(comparable_sets(runs, "stream")),
        confusion.confusion_figure(trained),
    ]


def render(runs: Sequence[RunRecord], figures: Sequence[Figure], filters: Sequence[str]) -> str:
    """The page: one document that asks for nothing."""
    import altair
    import vl_convert
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from harness.report.page.vega import specification

    timed = comparable_sets(runs, *TIMED)
    compared = summary.compared(timed)
    specs: dict[str, Any] = {}
    shown = []
    for figure in figures:
        panels = []
        for n, panel in enumerate(figure.panels, 1):
            name = f"{figure.name}-{n}"
            description = describe(figure, panel.title, panel.chart)
            keys = figure.keys(panel)
            specs[name] = specification(panel.chart, keys, description)
            legend = _legend(panel.chart, keys)
            heads, lines = panel.chart.table()
            panels.append(
                {
                    "name": name,
                    "title": panel.title,
                    "description": description,
                    "legend": legend,
                    "heads": heads,
                    "rows": lines,
                }
            )
        legends = [panel["legend"] for panel in panels]
        shown.append({"figure": figure, "panels": panels, "legend": legends[0] if _same(legends) else None})
    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    scripts = [
        _inside((TEMPLATES / "page.js").read_text("utf-8")),
        _inside(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)),
    ]
    style = (TEMPLATES / "page.css").read_text("utf-8")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        policy=_policy(scripts, style),
        style=style,
        scripts=scripts,
        counts=summary.counts(runs),
        filters=[text(item) for item in filters],
        period=_period(runs),
        sentences=summary.summary_sentences(timed),
        compared=compared.name if compared else "",
        grid=result_matrix(runs, comparable_sets(runs, *TIMED, "stream")),
        figures=shown,
        specs=specs,
        not_ok=_not_ok(runs),
        table=run_table.run_table(runs),
        environments=run_table.environments(runs),
    )


def describe(figure: Figure, title: str, chart: Chart) -> str:
    """What stands for a chart where it cannot be seen; its numbers are in the table below it."""
    if isinstance(chart, Lines):
        what = f"{len(chart.curves)} lines of {chart.y.title} over {chart.x.title}"
    elif isinstance(chart, Bars):
        what = f"{len(chart.bars)} bars of {chart.x.title}"
    else:
        what = f"{len(chart.rows)} by {len(chart.columns)} shaded cells, {chart.y} by {chart.x}"
    return f"{figure.title}. {title}. {what}; its numbers are in the table below."


def _legend(chart: Chart, keys: Sequence[str]) -> list[tuple[str, str, str]]:
    """(class of its colour, marker, what it stands for)."""
    markers = [SHAPES[shape_index(k)][2] if isinstance(chart, Lines) else "■" for k in range(len(keys))]
    drawn = [k for k, key in enumerate(keys) if key in chart.keys]
    entries = [(f"k{color_index(k)}", markers[k], keys[k]) for k in drawn if len(drawn) > 1]
    against = chart.against if isinstance(chart, Bars) else ()
    return entries + [("ink", REFERENCE_MARKERS[k][2], name) for k, name in enumerate(against)]


def _same(legends: Sequence[object]) -> bool:
    """Whether one legend does for all panels."""
    return bool(legends) and all(legend == legends[0] for legend in legends)


def _not_ok(runs: Sequence[RunRecord]) -> list[tuple[str, str, int, list[str]]]:
    """(status, reason, how many, which) of the runs that did not end ok, the most frequent first."""
    bad = [run for run in runs if not run.ok]
    by_reason = grouped(bad, lambda run: (run.status, text(run.reason))).items()
    return [
        (status, reason, len(same), list(dict.fromkeys(f"{run.backend} {run.cell}" for run in same)))
        for (status, reason), same in sorted(by_reason, key=lambda item: -len(item[1]))
    ]


def _period(runs: Sequence[RunRecord]) -> str:
    first, last = runs[0].started[:10], runs[-1].started[:10]
    return text(first if first == last else f"{first} to {last}")


def _inside(script: str) -> str:
    """A script as it may stand in a page: nothing in it ends it, or begins a comment."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: Sequence[str], style: str) -> str:
    """What the page may do: run these scripts, look like this, and nothing else."""
    allowed = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
