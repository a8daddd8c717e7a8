"""`python -m harness`: tables from stored results, a cell explained, what there is, what works here."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.errors import HarnessError

app = typer.Typer(
    help="Tables from stored runs, cells explained, what there is and what works on this machine. "
    "Runs are made by `python run.py`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def table(
    results: Annotated[str, typer.Option(help="Directory or URL that runs were stored in.")] = "results",
    by: Annotated[str, typer.Option(help="Columns that make a group, separated by commas.")] = "backend,cell",
    metric: Annotated[
        str | None,
        typer.Option(
            help="Columns to average, separated by commas; seconds_to_target.0.97 for one target. "
            "Otherwise the accuracy and speed that runs of their mode have."
        ),
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE or COLUMN=A,B; may be given more than once.")
    ] = None,
    style: Annotated[str, typer.Option("--format", help="md, csv, latex or json.")] = "md",
) -> None:
    """One row per group: mean ± standard deviation over its ok runs, n; then every run that is not ok."""
    from harness import store
    from harness.report import table as tables

    if style not in tables.FORMATS:
        raise tables.TableError(f"--format {style!r}: must be one of {', '.join(tables.FORMATS)}")
    stored = tables.with_config(store.load(results))
    groups = tables.columns(by, stored, option="--by")
    frame = tables.where(stored, where or [])
    metrics = (
        list(tables.usual(frame)) if metric is None else tables.columns(metric, stored, option="--metric")
    )
    if frame.empty:
        among = f" where {' and '.join(where)}" if where else ""
        raise tables.TableError(f"no runs in {results}{among}; make one with: python run.py data=digits")
    typer.echo(tables.render(frame, groups, metrics, style))


@app.command()
def describe(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="As for run.py: cell=gru sequence=pixel model.layers=2 …")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(help="Draw the model unrolled over time into this file.")
    ] = None,
) -> None:
    """A cell explained: equations, shapes on the way of a batch, every weight and how it is stored."""
    from harness.report import describe, storage, unrolled

    storage.settle_engine()
    chosen = describe.choose(overrides or [])
    if svg is not None:
        unrolled.write(svg, chosen.model)
    describe.show(chosen)
    if svg is not None:
        typer.echo(f"Drawn: {svg}")


@app.command()
def matrix(style: Annotated[str, typer.Option("--format", help="md or text.")] = "text") -> None:
    """Which cell has which implementation in which backend; what it has not is a –."""
    from harness.report import matrix

    typer.echo(matrix.render(style))


@app.command()
def scaling(
    results: Annotated[str, typer.Option(help="Directory or URL that runs were stored in.")] = "results",
    plot: Annotated[Path | None, typer.Option(help="Draw it into this file: .svg, .png or .pdf.")] = None,
) -> None:
    """Where launch overhead ends and arithmetic begins, from the runs of +experiment=scaling."""
    from harness.report import scaling, scaling_plot

    records = scaling.read(results)
    found = scaling.lines(records)
    if not found and all(record.ok for record in records):
        raise scaling.ScalingError(
            f"no two runs of mode=throughput in {results} differ in their size alone; {scaling.MAKE}"
        )
    if plot is not None:
        scaling_plot.write(plot, found)
    typer.echo(scaling.render(records, found))
    if plot is not None:
        typer.echo(f"\nDrawn: {plot}")


@app.command()
def report(
    output: Annotated[Path, typer.Argument(help="The file to write, such as results/report.html.")],
    results: Annotated[str, typer.Option(help="Directory or URL that runs were stored in.")] = "results",
    where: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE or COLUMN=A,B; may be given more than once.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Draw the charts into this directory too, as SVG and PDF for papers.")
    ] = None,
) -> None:
    """One page that needs no network: who wins, every chart, every run with its command."""
    from harness.page import build

    for path in build.report(output, results, where or [], plots):
        typer.echo(f"Written: {path}")


@app.command()
def doctor() -> None:
    """What works here, and what to do about the rest. Exit status 1 where a backend does not work."""
    from harness import checkup

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
