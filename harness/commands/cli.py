"""`python -m harness`: tables from stored results, a cell explained, what there is, what works here."""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.errors import CompareError, HarnessError
from harness.measure.directories import expand_user

Results = Annotated[str, typer.Option(help="Directory or URL that runs were stored in.")]
Where = Annotated[
    list[str] | None, typer.Option(help="COLUMN=VALUE or COLUMN=A,B; may be given more than once.")
]


def _with_home(path: Path | None, parameter: typer.CallbackParam) -> Path | None:
    """A path to write to, `~` replaced."""
    return path and expand_user(path, parameter.opts[-1])


app = typer.Typer(
    help="Tables from stored runs, cells explained, what there is and what works on this machine. "
    "Runs are made by `python run.py`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command(
    help="Mean ± standard deviation over the ok runs of a group, n, the best; then every run that is not ok."
)
def table(
    results: Results = "results",
    by: Annotated[
        str | None,
        typer.Option(help="Columns that make a group, separated by commas; default: backend,cell."),
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="Of a pivoted table: columns whose values are rows.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Of a pivoted table: columns whose values are columns.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Columns to average, separated by commas; seconds_to_target.0.97 for one target. "
            "Default: the accuracy and speed that runs of their mode have."
        ),
    ] = None,
    targets: Annotated[
        bool, typer.Option("--targets", help="Seconds, epochs and steps to each target accuracy instead.")
    ] = False,
    where: Where = None,
    style: Annotated[
        str | None,
        typer.Option(
            "--format", help="md, csv, latex, html, json or parquet; default: by FILE's suffix, else md."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(callback=_with_home, help="Write it into this file.")] = None,
) -> None:
    from harness.report.table import command

    text = command.table(
        results,
        by=by,
        rows=rows,
        across=columns,
        metric=metric,
        targets=targets,
        filters=where or [],
        style=style,
        output=output,
    )
    sys.stdout.write(f"{text}\n")


@app.command(
    help="A cell explained: equations, shapes on the way of a batch, every weight and how it is stored."
)
def describe(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="As for run.py: cell=gru sequence=pixel model.layers=2 …")
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(callback=_with_home, help="Draw the model unrolled over time into this file."),
    ] = None,
) -> None:
    from harness.commands.describe import page, storage, unrolled

    for framework in storage.frameworks():
        framework.prepare_import()
    described = page.select_model(overrides or [])
    if svg is not None:
        unrolled.write(svg, described.model)
    page.show(described)
    if svg is not None:
        sys.stdout.write(f"Drawn: {svg}\n")


@app.command(help="Which cell has which implementation in which backend; – marks one that is missing.")
def matrix(style: Annotated[str, typer.Option("--format", help="md or text.")] = "text") -> None:
    from harness.commands import matrix

    sys.stdout.write(matrix.render(style) + "\n")


@app.command(help="Where launch overhead ends and arithmetic begins, from the runs of +experiment=scaling.")
def scaling(
    results: Results = "results",
    plot: Annotated[
        Path | None, typer.Option(callback=_with_home, help="Draw it into this file: .svg, .png or .pdf.")
    ] = None,
) -> None:
    from harness.report.scaling import command

    sys.stdout.write(command.scaling(results, plot) + "\n")


@app.command(
    help="Is A better than B, by how much, and is it more than noise? In words, with a 95 % interval."
)
def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", help="COLUMN=VALUE[,COLUMN=VALUE …], a results directory or URL, or a revision."
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="What it is compared with.")],
    metric: Annotated[
        str, typer.Option(help="A measured column; seconds_to_target.0.97 for one target.")
    ] = "train_throughput",
    results: Results = "results",
    where: Where = None,
    fail_below: Annotated[
        float | None,
        typer.Option(
            help="A gate: exit status 1 only if the whole interval, read as the more the better, lies below."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare what is not comparable, and warn.")] = False,
    style: Annotated[str, typer.Option("--format", help="md or json.")] = "md",
) -> None:
    from harness.report import metrics
    from harness.report.compare import render, sides, verdict

    if style not in render.FORMATS:
        raise CompareError(f"--format {style!r}: must be one of {', '.join(render.FORMATS)}")
    if fail_below is not None and not math.isfinite(fail_below):
        raise CompareError(f"--fail-below {fail_below}: must be a number that figures can lie below")
    compared = metrics.parse_metric(metric)
    comparison = verdict.compare(*sides.select_sides(a, b, results, where or []), compared, force=force)
    gate = None if fail_below is None else render.gate(comparison, fail_below)
    sys.stdout.write(render.render(comparison, style, gate) + "\n")
    if gate and gate.failed:
        raise typer.Exit(1)


@app.command(
    help="Which of two trains faster? In alternating windows on the same cores: the way on a noisy machine."
)
def race(
    a: Annotated[str, typer.Argument(metavar="A", help='Overrides as for run.py: "backend=torch".')],
    b: Annotated[str, typer.Argument(metavar="B", help='"backend=keras backend.engine=jax"')],
    common: Annotated[
        list[str] | None, typer.Argument(metavar="[OVERRIDE]...", help="Overrides of both sides.")
    ] = None,
    precision: Annotated[
        float, typer.Option(help="Stop when half the interval is narrower than this share of the ratio.")
    ] = 0.02,
    limit: Annotated[
        float, typer.Option("--seconds", help="The longest that windows are timed, starts not counted.")
    ] = 300.0,
    output: Annotated[
        Path | None, typer.Option(callback=_with_home, help="Write everything, raw windows too, as JSON.")
    ] = None,
) -> None:
    from harness.commands.race import command

    raise typer.Exit(command.main(a, b, common or [], precision, limit, output))


@app.command(
    help="Who trains fastest? All configurations of a sweep, resident at once and timed in turns, until they "
    "are told apart."
)
def tournament(
    overrides: Annotated[
        list[str],
        typer.Argument(help='As for run.py -m: "backend=numpy,torch", +experiment=answer.'),
    ],
    group: Annotated[
        str | None,
        typer.Option(
            help="Keys or columns that are alike among those who compete; default: the cell, its size and "
            'the task. "" lets all compete.'
        ),
    ] = None,
    precision: Annotated[
        float,
        typer.Option(help="Stop when half of each interval is narrower than this share of the ratio."),
    ] = 0.02,
    limit: Annotated[
        float,
        typer.Option("--seconds", help="The longest that windows of a group are timed, starts not counted."),
    ] = 600.0,
    results: Annotated[
        str | None,
        typer.Option(help="Directory or URL to store runs in; default: results.root of the configuration."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(callback=_with_home, help="Write everything, raw windows too, as JSON.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(callback=_with_home, help="Draw the ranking into this file: .svg, .png or .pdf."),
    ] = None,
) -> None:
    from harness.commands.tournament import command

    status = command.main(
        overrides,
        group=group,
        precision=precision,
        limit=limit,
        results=results,
        output=output,
        picture=plot,
    )
    raise typer.Exit(status)


@app.command(help="One page that needs no network: who wins, every chart, every run with its command.")
def report(
    output: Annotated[
        Path, typer.Argument(callback=_with_home, help="The file to write, such as results/report.html.")
    ],
    results: Results = "results",
    where: Where = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            callback=_with_home, help="Draw the charts into this directory too, as SVG and PDF for papers."
        ),
    ] = None,
) -> None:
    from harness.report.page import build

    for path in build.report(output, results, where or [], plots):
        sys.stdout.write(f"Written: {path}\n")


@app.command(
    help="What works here, and what to do about the rest. Exit status 1 where a backend does not work."
)
def doctor() -> None:
    from harness.commands import doctor as checkup

    findings = checkup.examine()
    checkup.show(findings, Console())
    raise typer.Exit(0 if all(finding.good for finding in findings if finding.needed) else 1)


def main() -> None:
    """Runs a command; a HarnessError is its message and exit status 2."""
    try:
        app()
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
