"""What all figures that matplotlib draws have in common. matplotlib is imported only when one is drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def save(figure: "Figure", path: Path) -> None:
    """Writes a figure in the format of the file's suffix, without the date, so that equal figures are equal
    files. Raises OSError."""
    date = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix.lower())
    figure.savefig(path, dpi=200, metadata={date: None} if date else {})
