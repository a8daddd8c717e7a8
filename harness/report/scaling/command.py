"""The command `scaling`: reads the runs, draws the figure, returns the text."""

from pathlib import Path

from harness.errors import ScalingError
from harness.report.scaling import plot
from harness.report.scaling.lines import group_lines
from harness.report.scaling.render import render
from harness.store import frames

COMMAND = "python run.py -m +experiment=scaling"
ADVICE = f"make some with: {COMMAND}"


def scaling(results: str, figure: Path | None) -> str:
    """The lines of the runs of `mode=throughput` in a results directory or at a URL, as text; draws them if a
    file is given.

    Raises StoreError if there are no results, ScalingError if there are no such runs, no line, or the figure
    cannot be drawn.
    """
    records = [record for record in frames.records(results) if record.mode == "throughput"]
    if not records:
        raise ScalingError(f"no runs of mode=throughput in {results}; {ADVICE}")
    lines = group_lines(records)
    if not lines and all(record.ok for record in records):
        raise ScalingError(
            f"no two runs of mode=throughput in {results} differ in their size alone; {ADVICE}"
        )
    if figure is None:
        return render(records, lines)
    plot.write(figure, lines)
    return f"{render(records, lines)}\n\nDrawn: {figure}"
