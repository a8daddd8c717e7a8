"""Tables of records that contain hostile texts."""

import io
import re
from dataclasses import replace

import pandas
from hypothesis import strategies as st
from rich.console import Console

from harness.report.table.output import TEXTS, render
from harness.report.table.terminal import show
from tests.support.fuzz import fuzz
from tests.support.records import BY, METRICS, frame, record
from tests.support.tables import check_table

HTML = "<script>alert(1)</script>|`x`=cmd() [/red] :smile: {}% & _a_ \\| $x$ ~^#"
NASTY = [
    "a|b",
    "a\\|b",
    "a\\",
    "a\nb\r\nc",
    "\x1b[31mred",
    "=1+1",
    "-1",
    "@x",
    "[/x]",
    "[a]",
    "\ud800",
    "<!--",
    "\u2028",
    "*",
    "\\[x",
    "&lt;",
    "100% $x$ {",
    "|" * 50,
    "x" * 5000,
    HTML,
]
OK, FAILED = record("ok", None, "backend=numpy", test_accuracy=0.5), record("failed", "", "seed=1")


@fuzz(2, 15, texts=st.lists(st.text(max_size=60), min_size=1, max_size=20), examples=[{"texts": NASTY}])
def test_no_text_breaks_a_table(texts: list[str]) -> None:
    runs = frame(*(replace(r, reason=t, record_path=t) for t in texts for r in (OK, FAILED)))
    by = ["backend", "record_path"]
    for style in TEXTS:
        text = render(runs, by, METRICS, style)
        if style != "json":
            assert all(c.isprintable() or c == "\n" for c in text)
        text.encode("utf-8", "surrogatepass" if style == "json" else "strict")
        check_table(text, style, rows=len(texts) + len(set(texts)))
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    show(runs, by, METRICS, console)
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert not re.search(r"\x1b\[31m", drawn)


def test_a_csv_cell_is_never_a_formula() -> None:
    runs = frame(record("failed", "=HYPERLINK(1)", "backend=numpy"))
    read = pandas.read_csv(io.StringIO(render(runs, BY, METRICS, "csv")))
    assert read.loc[0, "reason"] == "'=HYPERLINK(1)"
