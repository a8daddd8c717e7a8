"""Tables: means over seeds and nothing else, nothing dropped, every format whole."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pandas
import pytest
from rich.console import Console

from harness.measure.clock import now
from harness.report.frame import TableError, filter_runs, split_by_settings, with_config
from harness.report.table.groups import build
from harness.report.table.output import render
from harness.report.table.terminal import show
from harness.store.attempts import new_attempt, write_record
from harness.store.frames import load
from harness.store.record import RunRecord
from tests.support.records import BY, METRICS, frame, record

TORCH = {"test_accuracy": 0.98, "train_throughput": 9000.0, "parity_gradient": 1e-6}
AGAIN = {"test_accuracy": 0.99, "train_throughput": 9500.0, "parity_gradient": 3e-6}
THREE = frame(
    record("ok", None, "backend=torch", "seed=0", **TORCH),
    record("ok", None, "backend=torch", "seed=1", **AGAIN),
    record("ok", None, "backend=numpy", "seed=0", test_accuracy=0.97, train_throughput=50.25),
    record("skipped", "keras cannot | be\nimported <b>", "backend=keras", "seed=0"),
)


def test_mean_deviation_and_n_over_seeds() -> None:
    built = build(THREE, BY, METRICS).set_index("backend")
    assert built.loc["torch", "test_accuracy"] == pytest.approx(0.985)
    assert built.loc["torch", "test_accuracy_sd"] == pytest.approx(0.00707, abs=1e-5)
    assert built.loc["torch", "n"] == 2
    assert pandas.isna(built.loc["numpy", "test_accuracy_sd"])
    assert "keras" not in built.index


def test_markdown() -> None:
    text = render(THREE, BY, METRICS, "md")
    assert "| torch   | lstm | 0.9850 ± 0.0071 |      9,250 ± 354 | 2.0e-06 ± 1.4e-06 |   2 |" in text
    assert "| numpy   | lstm |          0.9700 |            50.25 |                 – |   1 |" in text
    assert "Not ok:" in text
    assert r"keras cannot \| be imported \<b>" in text
    widths = {len(line) for line in text.split("\n\n")[0].splitlines()}
    assert len(widths) == 1


def test_a_published_table_says_on_what_it_was_measured() -> None:
    place = {"device_name": "Some CPU", "environment": {"versions": {"torch": "2.13"}, "git_revision": "abc"}}
    text = render(frame(record("ok", None, **place)), BY, METRICS, "md")
    assert "Measured on Some CPU, 2 threads. Versions: torch 2.13, harness at abc." in text
    place["environment"]["variables"] = {"ONEDNN_MAX_CPU_ISA": "SSE41"}
    text = render(frame(record("ok", None, **place)), BY, METRICS, "md")
    assert "Versions: torch 2.13, ONEDNN_MAX_CPU_ISA SSE41, harness at abc." in text


def test_csv_and_json_hold_the_same_figures() -> None:
    read = pandas.read_csv(StringIO(render(THREE, BY, METRICS, "csv")))
    assert list(read["status"]) == ["ok", "ok", "skipped"]
    assert read.loc[1, "test_accuracy"] == pytest.approx(0.985)
    parsed = json.loads(render(THREE, BY, METRICS, "json"))
    assert parsed["rows"][1]["test_accuracy"] == pytest.approx(0.985)
    assert parsed["not_ok"][0]["reason"] == "keras cannot | be imported <b>"


def test_latex_escapes_what_is_special() -> None:
    text = render(
        frame(record("ok", None, test_accuracy=0.5), record("failed", r"50% of _x_ & {\y}")),
        BY,
        METRICS,
        "latex",
    )
    assert r"test\_accuracy" in text
    assert r"50\% of \_x\_ \& \{\textbackslash{}y\}" in text
    assert text.count(r"\toprule") == 2


def test_different_configurations_never_share_a_mean() -> None:
    runs = frame(
        record("ok", None, "seed=0", test_accuracy=0.9),
        record("ok", None, "seed=1", "train.learning_rate=0.1", test_accuracy=0.1),
        record("ok", None, "seed=2", "train.learning_rate=0.1", test_accuracy=0.3),
    )
    parts, by = split_by_settings(runs, BY)
    assert by == [*BY, "train.learning_rate"]
    assert list(build(parts, by, ["test_accuracy"])["n"]) == [1, 2]


def test_shards_have_a_row_of_their_own_also_beside_records_that_do_not_know_them() -> None:
    older = record("ok", None, "backend=torch", "seed=0", "threads=2")
    del older.config["backend"]["shards"]
    plain = record("ok", None, "backend=torch", "seed=1", "threads=2")
    split = record("ok", None, "backend=torch", "seed=2", "threads=2", "backend.shards=2")
    parts, by = split_by_settings(frame(older, plain, split), BY)
    assert by == [*BY, "backend.shards"]
    assert list(build(parts, by, ["test_accuracy"])["n"]) == [2, 1]


def test_what_cells_bring_along_splits_nothing_twice() -> None:
    runs = frame(record("ok", None, "cell=rnn"), record("ok", None, "cell=lstm"))
    assert split_by_settings(runs, ["cell"])[1] == ["cell"]
    assert split_by_settings(runs, ["backend"])[1] == ["backend", "cell.name"]


def test_targets() -> None:
    runs = frame(record("ok", None, seconds_to_target={"0.9": 2.0, "0.98": None}))
    assert build(runs, BY, ["seconds_to_target.0.9"])["seconds_to_target.0.9"][0] == 2.0
    assert pandas.isna(build(runs, BY, ["seconds_to_target.0.98"])["seconds_to_target.0.98"][0])


def test_where_takes_several_values_and_configuration_keys() -> None:
    runs = with_config(THREE)
    assert len(filter_runs(runs, ["backend=torch,numpy", "seed=0"])) == 2
    assert len(filter_runs(runs, ["train.learning_rate=0.003", "model.bidirectional=false"])) == 4
    with pytest.raises(TableError, match="did you mean backend"):
        filter_runs(runs, ["bakend=torch"])
    with pytest.raises(TableError, match="lacks a value: backend=VALUE"):
        filter_runs(runs, ["backend"])


def test_a_metric_must_hold_numbers() -> None:
    with pytest.raises(TableError, match="holds no numbers"):
        build(THREE, BY, ["command"])


def test_no_row_is_lost_where_nothing_is_ok() -> None:
    text = render(frame(record("crashed", "SIGSEGV")), BY, METRICS, "md")
    assert "crashed" in text
    assert "SIGSEGV" in text


def test_the_best_attempt_at_a_run_is_its_row(tmp_path: Path) -> None:
    for status in ("failed", "ok", "interrupted"):
        write_record(replace(record(status, None), key="same"), new_attempt(tmp_path, "same", now()))
    found = load(tmp_path)
    assert list(found["status"]) == ["ok"]


def test_numbers_that_are_not_finite_are_null_in_the_document(tmp_path: Path) -> None:
    path = write_record(
        record("diverged", "NaN", train_loss=float("nan"), details={"a": [float("inf"), 1.0]}),
        new_attempt(tmp_path, "k", now()),
    )
    read = RunRecord.read(path)
    assert read.train_loss is None
    assert read.details == {"a": [None, 1.0]}
    assert "NaN" not in path.read_text().replace('"NaN"', "")


def test_figures_that_others_may_have_spoilt_are_marked_and_counted() -> None:
    runs = frame(
        record("ok", None, "backend=torch", "seed=0", **TORCH, contended=True),
        record("ok", None, "backend=torch", "seed=1", **AGAIN, contended=False),
        record("ok", None, "backend=numpy", "seed=0", **TORCH, contended=None),
        record("crashed", "SIGSEGV", "backend=keras", contended=True),
    )
    note = "1 of 3 runs without the cores to itself: do not trust the timing."
    text = render(runs, BY, METRICS, "md")
    assert "| 0.9850 ± 0.0071 |    9,250 ± 354 † | 2.0e-06 ± 1.4e-06 |" in text
    assert f"\n\n† {note}\n\n" in text
    assert text.count("†") == 2  # the figure and the note: accuracies are not spoilt
    latex = render(runs, BY, METRICS, "latex")
    assert r"9,250 $\pm$ 354 $\dagger$ &" in latex
    assert rf"$\dagger$ {note}" in latex
    parsed = json.loads(render(runs, BY, METRICS, "json"))
    assert [row["n_contended"] for row in parsed["rows"]] == [0, 1]
    read = pandas.read_csv(StringIO(render(runs, BY, METRICS, "csv")))
    assert list(read["n_contended"].fillna(-1)) == [0, 1, -1]
    drawn = Console(file=StringIO(), force_terminal=True, width=200)
    show(runs, BY, METRICS, drawn)
    assert note in drawn.file.getvalue()  # type: ignore[attr-defined]
    assert "†" not in render(runs, BY, ["test_accuracy"], "md")
    assert "†" not in render(THREE, BY, METRICS, "md")


def test_unsteady_speeds_are_marked_and_both_figures_can_be_shown() -> None:
    speeds = ["train_throughput", "train_throughput_best", "test_accuracy"]
    runs = frame(
        record("ok", None, "backend=torch", "seed=0", **TORCH, train_throughput_best=12e3, unsteady=True),
        record("ok", None, "backend=torch", "seed=1", **AGAIN, train_throughput_best=1e4, unsteady=False),
        record("ok", None, "backend=numpy", "seed=0", **TORCH),
    )
    note = "1 of 3 runs unsteady: the fastest windows (train_throughput_best) are more than 10 % above the"
    text = render(runs, BY, speeds, "md")
    assert "|    9,250 ± 354 ‡ |      11,000 ± 1,414 ‡ | 0.9850 ± 0.0071 |   2 |" in text
    assert "|            9,000 |                     – |          0.9800 |   1 |" in text
    assert f"\n\n‡ {note} median (train_throughput).\n\n" in text
    assert r"9,250 $\pm$ 354 $\ddagger$ &" in render(runs, BY, speeds, "latex")
    assert [row["n_unsteady"] for row in json.loads(render(runs, BY, speeds, "json"))["rows"]] == [0, 1]
    read = pandas.read_csv(StringIO(render(runs, BY, speeds, "csv")))
    assert list(read["n_unsteady"]) == [0, 1]
    assert list(read["train_throughput_best"].fillna(0)) == [0, 11_000], "the figure, not a mark"
    assert "‡" not in render(runs, BY, ["test_accuracy"], "md")


def test_the_fastest_windows_of_unequal_numbers_have_no_best() -> None:
    runs = frame(
        *(
            record("ok", None, f"backend={name}", f"seed={seed}", train_throughput_best=rate + seed,
                   train_throughput=rate + seed)
            for name, rate in (("torch", 9000.0), ("numpy", 5000.0))
            for seed in range(3)
        )
    )  # fmt: skip
    assert "**" in render(runs, BY, ["train_throughput"], "md")
    assert "**" not in render(runs, BY, ["train_throughput_best"], "md")
