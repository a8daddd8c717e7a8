"""Published tables mark nothing that single runs cannot show."""

import re
from collections.abc import Iterator

import pytest

from results import publish
from tests.conftest import ROOT

SHOWN = re.compile(r"<!-- \[\[\[cog show.*?\]\]\] -->(.*?)<!-- \[\[\[end\]\]\] -->", re.DOTALL)


def bold_of_single_runs(shown: str) -> Iterator[str]:
    """The bold cells of a table whose figure is of one run, by its column `n`, its note or its own mark."""
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in shown.splitlines() if line.startswith("|")]
    everywhere = re.search(r"^n = 1( unless.*)?\.$", shown, re.MULTILINE)
    column = None
    for cells in ([cell.strip() for cell in line] for line in lines):
        if cells[-1] in ("n", "reached"):
            column = len(cells) - 1
        single = column is not None and re.match(r"1( of |$)", cells[column])
        for cell in cells:
            if cell.startswith("**") and (single or "(n = 1)" in cell or (everywhere and "(n =" not in cell)):
                yield cell


@pytest.mark.parametrize("page", publish.PAGES)
def test_nothing_is_bold_at_one_run_in_any_published_table(page: str) -> None:
    tables = SHOWN.findall((ROOT / page).read_text("utf-8"))
    assert tables
    assert not [cell for shown in tables for cell in bold_of_single_runs(shown)]
    assert not any("of a single run, over its timing windows" in shown for shown in tables)


@pytest.mark.parametrize(
    "shown",
    [
        "| cell | speed | n |\n|---|---|---|\n| rnn | **9** | 1 |\n| gru | 7 | 3 |",
        "| target | seconds | reached |\n|---|---|---|\n| 90 % | **9** | 1 of 1 |",
        "| cell | numpy |\n|---|---|\n| rnn | **1,615** |\n\nn = 1.",
        "| cell | numpy | torch |\n|---|---|---|\n| rnn | **9 (n = 1)** | **8** |\n\n"
        "n = 3 unless a figure says otherwise.",
    ],
)
def test_a_bold_figure_of_a_single_run_is_found(shown: str) -> None:
    assert len(list(bold_of_single_runs(shown))) == 1
    several = re.sub(r"\b1 (\||of 1)", r"3 \1", shown).replace("n = 1", "n = 3")
    assert not list(bold_of_single_runs(several))
