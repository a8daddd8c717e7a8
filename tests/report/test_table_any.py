"""Tables of any runs at all: each counted once, no number lost, no text but text."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.report.format import text
from harness.report.frame import records_frame, with_config
from harness.report.table.formats.markdown import markdown
from harness.report.table.groups import Groups, group
from harness.report.table.output import TEXTS, render
from harness.store.record import RunRecord
from tests.support.drawn import drawn
from tests.support.records import record

TEXT = st.text(max_size=8) | st.sampled_from(
    ["a|b", "**x**", "__x__", "[x](y)", "![x](http://y)", "<b>", "&lt;", "`", "\\", "$x$", "%", "=1+1", "＝1",
     "-", "+1", "@x", "\t=1", "\u202e", "\u200f", "\x1b[31m", "\0", "\ud800", "a\nb", "–", "nan", "</table>",
     "\\end{tabular}", " "]
)  # fmt: skip
FIGURE = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=64)
RUNS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "ok", "ok", "failed", "timeout"]),
        TEXT,
        st.none() | TEXT,
        FIGURE,
        st.none() | st.booleans(),
        st.sampled_from([None, 1, 1.5, "a", True]),
    ),
    min_size=1,
    max_size=12,
)
PATTERN = {name: record("ok", None, f"backend={name}") for name in ("torch", "numpy")}


def anything(runs: list[tuple[Any, ...]]) -> list[RunRecord]:
    found = []
    for k, (status, cell, engine, value, contended, option) in enumerate(runs):
        pattern = PATTERN["torch" if k % 2 else "numpy"]
        config = pattern.config | {"cell": {**pattern.config["cell"], "option": option}}
        found.append(
            replace(pattern, key=str(k), seed=k, status=status, reason=cell, cell=cell, engine=engine,
                    config=config, test_accuracy=value, train_throughput=value, contended=contended)
        )  # fmt: skip
    return found


def often(count: int) -> settings:
    return settings(
        max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
    )


@often(25)
@given(RUNS, st.sampled_from([(), ("backend",), ("backend", "engine")]))
def test_every_run_is_counted_once(runs: list[tuple[Any, ...]], columns: tuple[str, ...]) -> None:
    """In a group of the ok runs, or among those that are not; in a pivoted table each has its place."""
    frame = records_frame(anything(runs))
    ok = int((frame["status"] == "ok").sum())
    groups = group(frame, ["cell"], ["test_accuracy"], columns=columns)
    assert int(groups.table["n"].sum()) == ok
    assert len(groups.not_ok) == len(frame) - ok
    text = render(frame, ["cell"], ["test_accuracy"], "json", columns=columns)
    parsed = json.loads(text)
    assert sum(row["n"] for row in parsed["rows"]) + len(parsed["not_ok"]) == len(frame)
    if columns:
        cells = drawn(render(frame, ["cell"], ["test_accuracy"], "md", columns=columns))[0][1:]
        holes = sum(int(n) for row in cells for n in re.findall(r"(\d+) (?:failed|timeout)", " ".join(row)))
        assert holes == lost(groups)


def lost(groups: Groups) -> int:
    """How many runs that are not ok have a place of a pivoted table where none is."""
    names = [*groups.rows, *groups.columns]
    places = [
        tuple(None if pandas.isna(value) else value for value in row)
        for row in groups.runs[names].itertuples(index=False)
    ]
    ok = [status == "ok" for status in groups.runs["status"]]
    full = {place for place, good in zip(places, ok, strict=True) if good}
    return sum(not good and place not in full for place, good in zip(places, ok, strict=True))


@often(6)
@given(RUNS)
def test_every_format_keeps_its_numbers_and_its_shape(runs: list[tuple[Any, ...]]) -> None:
    frame, by, metrics = (
        records_frame(anything(runs)),
        ["cell", "engine"],
        ["test_accuracy", "train_throughput"],
    )
    groups = group(frame, by, metrics)
    want = [None if pandas.isna(value) else value for value in groups.table["test_accuracy"]]
    parsed = json.loads(render(frame, by, metrics, "json"))
    assert [row["test_accuracy"] for row in parsed["rows"]] == want
    written = render(frame, by, metrics, "csv")
    read = list(csv.DictReader(io.StringIO(written)))
    assert [
        float(row["test_accuracy"]) if row["test_accuracy"] else None for row in read[: len(want)]
    ] == want
    assert len(read) == len(groups.table) + len(groups.not_ok)
    assert len(written.splitlines()) == 1 + len(read)
    for row in read:
        texts = [row[name] for name in ("cell", "engine", "reason", "status")]
        assert not any(part.startswith(tuple("=+-@＝＋－＠\t")) for part in texts)
    for style in TEXTS:
        made = render(frame, by, metrics, style)
        assert all(c.isprintable() or c == "\n" for c in made)
    page = Reader()
    page.feed(render(frame, by, metrics, "html"))
    assert page.open == []
    assert page.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "p", "strong"}
    assert len(page.cells) == len(groups.table) + len(groups.not_ok) + bool(len(groups.table)) + bool(
        len(groups.not_ok)
    )
    assert {row[0] for row in page.cells} >= {text(cell) for cell in groups.table["cell"]}


class Reader(HTMLParser):
    """What a browser makes of a piece of HTML: its tags, the texts of its rows, and what is left open."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.cells: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= {"style", "scope"}
        self.tags.add(tag)
        self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data


@often(10)
@given(RUNS)
def test_parquet_keeps_numbers_and_types(runs: list[tuple[Any, ...]]) -> None:
    pytest.importorskip("pyarrow")
    from harness.report.table.formats import data

    frame = with_config(records_frame(anything(runs)))
    groups = group(frame, ["cell", "cell.option"], ["test_accuracy"])
    read = pandas.read_parquet(io.BytesIO(data.parquet(groups)))
    assert len(read) == len(groups.table) + len(groups.not_ok)
    pandas.testing.assert_series_equal(
        read["test_accuracy"][: len(groups.table)], groups.table["test_accuracy"], check_index=False
    )
    assert int(read["n"].sum()) == int(groups.table["n"].sum())


def test_markdown_takes_no_text_for_its_own_marks() -> None:
    hostile = ["**x**", "__x__", "[x](y)", "![x](http://y)", "`x`", "&lt;", "~~x~~", "<b>", "a|b"]
    written = markdown(["a_b", *hostile], [["x", *hostile]], 1)
    for mark in hostile[:-1]:
        assert not re.search(r"(?<!\\)" + re.escape(mark), written)
    assert r"a\|b" in written
    assert "| a_b | " in written  # a column's name stays what it is
    assert r"\*\*x\*\*" in written
    assert r"\_\_x\_\_" in written
