"""Tables in LaTeX, for the package booktabs."""

from collections.abc import Sequence

from harness.report.format import MARK, UNSTEADY, Best
from harness.report.table.grid import Grid, Page

SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "±": r"$\pm$",
        "…": r"\dots{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "[": "{[}",  # at the start of a row it would belong to the \\ before it, and so would a *
        "*": "{*}",
        MARK: r"$\dagger$",
        UNSTEADY: r"$\ddagger$",
    }
)


def latex(grid: Grid) -> str:
    """A tabular."""

    def line(row: Sequence[str]) -> str:
        return " & ".join(map(_cell, row)) + r" \\"

    wide = len(grid.heads) - grid.left
    lines = [f"\\begin{{tabular}}{{{'l' * grid.left}{'r' * wide}}}", r"\toprule"]
    if grid.over:
        lines.append(f"{'& ' * grid.left}\\multicolumn{{{wide}}}{{c}}{{{grid.over.translate(SPECIAL)}}} \\\\")
        lines.append(f"\\cmidrule(lr){{{grid.left + 1}-{len(grid.heads)}}}")
    lines += [line(grid.heads), r"\midrule", *map(line, grid.rows), r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines)


def _cell(cell: str) -> str:
    text = cell.translate(SPECIAL)
    return f"\\textbf{{{text}}}" if isinstance(cell, Best) else text


def document(page: Page) -> str:
    parts = [latex(grid) for grid in page.grids]
    parts += [note.translate(SPECIAL) for note in page.notes]
    if page.rest:
        parts += ["% not ok:", latex(page.rest)]
    return "\n\n".join([*parts, *filter(None, [page.provenance and f"% {page.provenance}"])])
