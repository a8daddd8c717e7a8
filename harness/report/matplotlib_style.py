"""What all figures that matplotlib draws have in common. matplotlib is imported only when one is drawn."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.store import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, GRID = "#222222", "#e4e4e4"
DASHED = (0, (5, 4))
INSTALL = "install it: pip install -c constraints.txt matplotlib"
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "harness",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # names come from records
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}


def save(figure: "Figure", path: Path, option: str) -> None:
    """Writes a figure in the format of the suffix of the file, which the user named with an option. It has no
    date, so that equal figures are equal files. Raises OutputError."""
    kind = path.suffix.lower().removeprefix(".")
    date = {"svg": "Date", "pdf": "CreationDate"}.get(kind)
    content = BytesIO()
    figure.savefig(content, format=kind, dpi=200, metadata={date: None} if date else {})
    files.write_output(path, content.getvalue(), option)
