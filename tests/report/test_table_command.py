"""`python -m harness table` as a person types it: pivots, targets, costs, formats, files, mistakes."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pytest
from typer.testing import CliRunner

from harness.commands.cli import app
from harness.measure.clock import now
from harness.report.frame import TableError, filter_runs, records_frame, split_by_settings, with_config
from harness.report.table.groups import build
from harness.report.table.output import TEXTS, render
from harness.store.attempts import new_attempt, write_record
from harness.store.files import OutputError
from harness.store.frames import load
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.drawn import drawn
from tests.support.records import record

PLAIN = {
    (b, c): record("ok", None, f"backend={b}", f"cell={c}")
    for b in ("torch", "numpy")
    for c in ("lstm", "rnn")
}
SPEED = {
    ("torch", "lstm"): 9000.0,
    ("numpy", "lstm"): 8000.0,
    ("torch", "rnn"): 20_000.0,
    ("numpy", "rnn"): 20_100.0,
}


def run(backend: str, cell: str, seed: int, **fields: Any) -> RunRecord:
    """A run whose throughput is within ± 200 of what SPEED says."""
    speed = SPEED[backend, cell] + 200.0 * (seed % 3 - 1)
    own = {
        "key": f"{backend} {cell} {seed}",
        "seed": seed,
        "test_accuracy": 0.98 + 0.001 * (seed % 3),
        "train_throughput": speed,
        "train_throughput_low": 0.99 * speed,
        "train_throughput_high": 1.01 * speed,
        "train_throughput_coverage": 0.96,
        "contended": False,
    }
    return replace(PLAIN[backend, cell], **(own | fields))


GRID = [run(*place, seed) for place in SPEED for seed in range(3)]


def stored(root: Path, *records: RunRecord) -> str:
    for one in records:
        write_record(one, new_attempt(root, one.key, now()))
    return str(root)


def typed(*arguments: str) -> str:
    """What the command line passes on, in this process; the options as `harness.commands.cli` reads them."""
    done = CliRunner().invoke(app, ["table", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def pivot(*records: RunRecord, metrics: tuple[str, ...] = ("train_throughput",), **more: Any) -> str:
    more = {"by": ["cell"], "columns": ["backend"]} | more
    return render(records_frame(records), more.pop("by"), metrics, "md", **more)


# pivoted


def test_a_pivoted_table_has_a_cell_for_every_place(harness_command: Shell, tmp_path: Path) -> None:
    keras = record("skipped", "no keras", "backend=keras", "cell=lstm")
    lost = [
        replace(keras, key="k"),
        replace(keras, key="l"),
        run("torch", "rnn", 7, status="crashed", reason="SIGSEGV"),
    ]
    where = stored(tmp_path, *GRID, run("torch", "lstm", 3), *lost)
    done = harness_command("table", "--results", where, "--rows", "cell", "--columns", "backend", "--metric",
                           "train_throughput,test_accuracy")  # fmt: skip
    assert done.returncode == 0, done.stderr
    speed, accuracy, rest = drawn(done.stdout)
    assert speed == [
        ["cell", "keras", "numpy", "torch"],
        ["lstm", "– (2 skipped)", "8,000 ± 200", "**8,950 ± 191 (n = 4)**"],
        ["rnn", "–", "20,100 ± 200", "20,000 ± 200"],
    ]
    assert accuracy[2] == ["rnn", "–", "0.9810 ± 0.0010", "0.9810 ± 0.0010"]
    assert "train_throughput by backend:\n" in done.stdout
    assert done.stdout.count("Bold: the best of its row, where") == 1
    assert "\nn = 3 unless a figure says otherwise.\n" in done.stdout
    assert sorted(row[3:] for row in rest[1:]) == [
        ["crashed", "SIGSEGV"],
        *[["skipped", "no keras"]] * 2,
    ]


def test_what_else_differs_is_a_column_of_a_pivoted_table() -> None:
    other = record("ok", None, "backend=torch", "cell=rnn", "train.learning_rate=0.1")
    (grid,) = drawn(pivot(*GRID, replace(other, train_throughput=1.0)))
    assert grid[0] == ["cell", "train.learning_rate", "numpy", "torch"]
    assert [row[:2] for row in grid[1:]] == [["lstm", "0.003"], ["rnn", "0.001"], ["rnn", "0.1"]]
    assert grid[3][2:] == ["–", "1 (n = 1)"]


def test_null_is_a_setting_like_any_other() -> None:
    """Runs with and without clipping share no mean."""
    clipped = record("ok", None, "backend=torch", "cell=lstm", "train.clip_norm=1")
    runs = records_frame([*GRID[:3], replace(clipped, train_throughput=1.0)])
    parts, by = split_by_settings(runs, ["backend"])
    assert by == ["backend", "train.clip_norm"]
    assert sorted(build(parts, by, ["train_throughput"])["n"]) == [1, 3]
    assert len(filter_runs(with_config(runs), ["train.clip_norm=null"])) == 3


def test_runs_without_an_engine_are_told_apart_too() -> None:
    other = record("ok", None, "backend=torch", "train.learning_rate=0.1")
    runs = records_frame([GRID[0], replace(other, train_throughput=1.0)])
    assert runs["engine"].isna().all()
    assert split_by_settings(runs, ["engine"])[1] == ["engine", "train.learning_rate"]


# the best


def bold(text: str) -> list[str]:
    return re.findall(r"\*\*(.*?)\*\*", text)


def test_only_what_lies_apart_is_marked() -> None:
    assert bold(pivot(*GRID)) == ["9,000 ± 200"]  # rnn: 20,000 ± 200 and 20,100 ± 200
    assert "Bold" not in pivot(*[one for one in GRID if one.cell == "rnn"])


@pytest.mark.parametrize(
    ("records", "marked"),
    [
        (GRID, True),
        ([replace(one, train_throughput=SPEED[one.backend, one.cell] + one.seed) for one in GRID], True),
        ([replace(one, train_throughput=SPEED[one.backend, one.cell] + one.seed) for one in GRID if one.seed],
         False),  # two are too few
        ([replace(one, contended=one.backend == "torch") for one in GRID], False),
        ([replace(one, contended=one.backend == "numpy") for one in GRID], False),  # it may have been faster
        ([one for one in GRID if one.backend == "torch"], False),  # alone
        ([one for one in GRID if one.seed == 0], False),  # single runs
        ([one for one in GRID if one.backend == "torch" or one.seed == 0], False),  # one is a single run
        ([replace(one, train_throughput=SPEED[one.backend, one.cell]) for one in GRID], False),  # certain
        ([replace(one, train_throughput=8000.0 + one.seed) for one in GRID], False),  # a tie
        ([replace(GRID[0], train_throughput=None), *GRID[1:]], False),  # one has no figure
    ],
)  # fmt: skip
def test_when_the_faster_one_is_marked(records: list[RunRecord], marked: bool) -> None:
    lstm = [one for one in records if one.cell == "lstm"]
    found = bold(pivot(*lstm))
    assert len(found) == marked
    assert all(text.startswith(("9,00", "8,800")) for text in found)


def test_an_accuracy_of_one_run_is_never_marked() -> None:
    ones = [
        replace(one, test_accuracy=0.99 if one.backend == "torch" else 0.5) for one in GRID if one.seed == 0
    ]
    assert not bold(pivot(*ones, metrics=("test_accuracy",)))


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        ("test_loss", "numpy"),
        ("peak_memory_bytes", "numpy"),
        ("peak_fraction", "torch"),
        ("parity_loss", None),
    ],
)
def test_what_is_better(metric: str, best: str | None) -> None:
    """Lower or higher, by the metric; where neither is better nothing is marked."""
    some = [
        replace(one, **{metric: (1 if one.backend == "torch" else 0.5) + 0.01 * one.seed}) for one in GRID
    ]
    table = build(records_frame(some), ["backend"], [metric]).set_index("backend")
    assert list(table.index[table[f"{metric}_is_best"]]) == ([best] if best else [])


def test_figures_of_different_tasks_are_not_compared() -> None:
    digits = [replace(one, data="digits", key=f"{one.key} d") for one in GRID]
    slower = [replace(one, train_throughput=(one.train_throughput or 0) / 2) for one in digits]
    down = pivot(*GRID, *slower, by=["backend", "cell"], columns=["data"])
    (grid,) = drawn(down)
    assert grid[0] == ["backend", "cell", "digits", "mnist"]
    assert not bold(down)  # rnn is fastest by either backend
    lstm = [one for one in (*GRID, *slower) if one.cell == "lstm"]
    down = pivot(*lstm, by=["backend"], columns=["data"])
    assert "\nBold: the best of its column, where" in down
    (grid,) = drawn(down)
    assert grid[2] == ["torch", "**4,500 ± 100**", "**9,000 ± 200**"]
    assert bold(pivot(*lstm, by=["data", "backend"], columns=())) == ["4,500 ± 100", "9,000 ± 200"]


def test_the_best_is_marked_in_every_format() -> None:
    lstm = records_frame([one for one in GRID if one.cell == "lstm"])
    made = {style: render(lstm, ["backend"], ["train_throughput"], style) for style in TEXTS}
    assert "**9,000 ± 200**" in made["md"]
    assert r"\textbf{9,000 $\pm$ 200}" in made["latex"]
    assert "<strong>9,000 &#177; 200</strong>" in made["html"]
    assert [row["train_throughput_is_best"] for row in json.loads(made["json"])["rows"]] == [False, True]
    assert list(pandas.read_csv(io.StringIO(made["csv"]))["train_throughput_is_best"]) == [False, True]


# targets and costs


def test_time_to_targets(harness_command: Shell, tmp_path: Path) -> None:
    def reached(one: RunRecord, at: float | None) -> RunRecord:
        late = {"seconds_to_target": 2 * at if at else None}
        found = {
            name: {"0.97": 4 + one.seed, "0.99": value}
            for name, value in ({"epochs_to_target": at, "steps_to_target": at} | late).items()
        }
        return replace(one, **found)

    runs = [reached(one, 5.0 if one.seed else None) for one in GRID]
    none = run("torch", "lstm", 9, seconds_to_target={}, epochs_to_target={}, steps_to_target={})
    lost = run("numpy", "lstm", 9, status="timeout", reason="too long")
    where = stored(tmp_path, *runs, none, lost)
    done = harness_command("table", "--results", where, "--targets", "--by", "backend")
    assert done.returncode == 0, done.stderr
    grid, rest = drawn(done.stdout)
    assert grid[0] == ["target", "backend", "cell.name", "seconds_to_target", "epochs_to_target",
                       "steps_to_target", "reached"]  # fmt: skip
    assert grid[1] == ["97 %", "numpy", "lstm", "5.000 ± 1.000", "5.000 ± 1.000", "5.000 ± 1.000", "3 of 3"]
    assert grid[5] == ["99 %", "numpy", "lstm", "10.00 ± 0.00", "5.000 ± 0.000", "5.000 ± 0.000", "2 of 3"]
    assert len(grid) == 9
    assert "1 of the ok runs measured no target." in done.stdout
    assert rest[1][2:] == ["timeout", "too long"]
    across = render(load(where), ["cell"], [], "md", columns=["backend"], targets=True)
    assert drawn(across)[0][3] == ["99 %", "lstm", "10.00 ± 0.00 (2 of 3)", "10.00 ± 0.00 (2 of 3)"]
    one = typed("--results", where, "--metric", "seconds_to_target.0.99")
    assert drawn(one)[0][1] == ["numpy", "lstm", "10.00 ± 0.00 (2 of 3)", "3"]


def test_costs_have_units(tmp_path: Path) -> None:
    big = [
        replace(
            one,
            parameters=12_345_678,
            flops_per_sequence=6_554_000,
            peak_memory_bytes=1_300_000_000 + one.seed,
        )
        for one in GRID[:3]
    ]
    small = [
        replace(one, parameters=117_386, flops_per_sequence=999_999, peak_memory_bytes=900)
        for one in GRID[3:4]
    ]
    asked = ("--metric", "parameters,flops_per_sequence,peak_memory_bytes")
    where = stored(tmp_path, *big, *small)
    (grid,) = drawn(typed("--results", where, *asked))
    assert grid[1] == ["numpy", "lstm", "117,386", "999,999", "900 B", "1"]
    assert grid[2] == ["torch", "lstm", "12.3 M", "6.55 M", "1.21 ± 0.00 GiB", "3"]
    raw = json.loads(typed("--results", where, *asked, "--format", "json"))
    assert raw["rows"][1]["peak_memory_bytes"] == 1_300_000_001


# files


@pytest.mark.parametrize("suffix", [".md", ".csv", ".tex", ".html", ".json", ".parquet"])
def test_a_file_holds_the_table_in_the_format_of_its_suffix(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    where, path = stored(tmp_path / "r", *GRID), tmp_path / f"table{suffix}"
    path.write_text("old")
    assert typed("--results", where, "--output", str(path)) == f"Written: {path}\n"
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "r", path])
    opening = {
        ".md": "| backend",
        ".csv": "backend,",
        ".tex": "\\begin{tab",
        ".html": "<table>",
        ".json": "{\n",
    }
    if suffix == ".parquet":
        found = pandas.read_parquet(path)
        assert list(found["train_throughput"]) == [8000.0, 20_100.0, 9000.0, 20_000.0]
        assert list(found["n"]) == [3] * 4
    else:
        text = path.read_text("utf-8")
        assert text.startswith(opening[suffix])
        assert text.endswith("\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--output", "{tmp}/none/t.md"), "{tmp}/none is not a directory; create it first"),
        (("--output", "{tmp}"), "no format has that suffix; there are .md, .csv"),
        (("--output", "{tmp}", "--format", "md"), "is a directory; name a file in it"),
        (("--output", "{tmp}/t.xls"), "no format has that suffix; there are .md, .csv"),
        (("--format", "parquet"), "name a file with --output FILE"),
        (("--format", "xls"), "must be one of md, csv, latex, html, json, parquet"),
        (("--rows", "cell"), "--rows and --columns make a pivoted table together"),
        (("--columns", "cell"), "--rows and --columns make a pivoted table together"),
        (("--rows", "cell", "--columns", "backend", "--by", "seed"), "give one or the other"),
        (("--rows", "cell", "--columns", "backend,cell"), "'cell' is in --rows and in --columns"),
        (("--rows", "cell", "--columns", "colour"), "--columns: 'colour' is no column"),
        (("--rows", "cel", "--columns", "backend"), "--rows: 'cel' is no column; did you mean cell?"),
        (("--by", "cell,cell"), "--by: 'cell' is named twice"),
        (("--by", "config"), "--by: 'config' holds a whole document"),
        (("--by", "seconds_to_target.0.97"), "--by: 'seconds_to_target.0.97' is no column"),
        (("--by", "seconds_to_target"), "one of them is a metric: seconds_to_target.0.97"),
        (("--metric", "sequence"), "--metric: 'sequence' holds no numbers"),
        (("--metric", "hidden", "--by", "hidden"), "'hidden' makes groups and is a figure"),
        (("--metric", "seconds_to_target.0.5"), "the target of 'seconds_to_target.0.5'; there are: 0.9"),
        (("--targets", "--metric", "test_accuracy"), "--targets and --metric both say"),
        (("--targets", "--where", "backend=numpy"), "--targets: no run that ended ok measured one"),
        (("--where", "backend=jax"), "no such run among 12 in {tmp}; backend is numpy, torch there"),
        (("--where", "cell=rnn", "--where", "seed=5"), "that the filters before it leave; seed is 0, 1, 2"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    reached = {"seconds_to_target": {"0.9": 1.0}}
    where = stored(tmp_path, *(replace(one, **reached) if one.backend == "torch" else one for one in GRID))
    given = [text.replace("{tmp}", where) for text in arguments]
    with pytest.raises((TableError, OutputError)) as error:
        typed("--results", where, *given)
    assert said.replace("{tmp}", where) in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_a_mistake_ends_with_status_2_and_no_traceback(harness_command: Shell, tmp_path: Path) -> None:
    where = stored(tmp_path, *GRID[:1])
    done = harness_command("table", "--results", where, "--output", f"{where}/none/t.md")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"--output {where}/none/t.md: {where}/none is not a directory; create it first\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    where, name = stored(tmp_path / "r", *GRID[:1]), "x" * 300 + ".md"
    with pytest.raises(OutputError, match=r"cannot be written \(File name too long\)"):
        typed("--results", where, "--output", str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_without_pyarrow_parquet_says_how_to_get_it(
    harness_command: Shell, shadow: Any, tmp_path: Path
) -> None:
    where, path = stored(tmp_path / "r", *GRID[:1]), tmp_path / "t.parquet"
    env = shadow("pyarrow", "raise ImportError('gone')")
    done = harness_command("table", "--results", where, "--output", str(path), env=env)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "pip install -c constraints.txt pyarrow" in done.stderr
    assert not path.exists()


def test_one_run_is_a_table(tmp_path: Path) -> None:
    text = typed("--results", stored(tmp_path, GRID[0]), "--metric", "train_throughput")
    assert drawn(text) == [[["backend", "cell", "train_throughput", "n"], ["torch", "lstm", "8,800", "1"]]]
    assert "Bold" not in text


def test_records_of_a_newer_schema_are_named_and_the_rest_is_shown(
    harness_command: Shell, tmp_path: Path
) -> None:
    where = stored(tmp_path, *GRID[:4])
    path = next(tmp_path.glob("runs/torch*/*/record.json"))
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    done = harness_command("table", "--results", where)
    assert done.returncode == 0
    assert f"{path}: schema 2 is unknown to this version" in done.stderr
    assert [row[-1] for row in drawn(done.stdout)[0]] == ["n", "1", "2"]
