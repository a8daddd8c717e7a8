"""What the report concludes from runs, without a browser."""

from dataclasses import replace
from statistics import fmean

import pytest

from harness.report.page.build import make_figures
from harness.report.page.confusion import confusion_figure
from harness.report.page.estimates import Lead, SeriesEstimate, difference_of, ratio_of, verdicts
from harness.report.page.matrix import result_matrix
from harness.report.page.series import comparable_sets
from harness.report.page.summary import counts, summary_sentences
from harness.report.page.throughput import throughput_figure
from tests.support.pages import everything, trained


def measurement(
    *values: float, seeded: bool = False, contended: bool = False, began: tuple[str, ...] = ()
) -> SeriesEstimate:
    by = dict(enumerate(values))
    return SeriesEstimate("x", fmean(values), (min(values), max(values)), by, seeded, contended, began)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (measurement(102, 100, 101), measurement(81, 80, 82), "more than noise"),
        (measurement(102, 100, 101), measurement(80, 101, 95), "may be noise"),
        (measurement(102, 100, began=("1", "4")), measurement(81, 80, began=("2", "3")), "more than noise"),
        (
            measurement(102, 100, began=("1", "2")),
            measurement(81, 80, began=("3", "4")),
            "the machine did in",
        ),
        (measurement(102, 100, 101), measurement(101), "from a single run nobody knows"),
        (measurement(102, 100, 101), measurement(81, 80, 82, contended=True), "do not trust it"),
    ],
)
def test_no_more_is_said_of_speeds_than_their_runs_allow(
    first: SeriesEstimate, second: SeriesEstimate, said: str
) -> None:
    assert said in verdicts([ratio_of(first, second)])[0]


def test_accuracies_are_compared_seed_by_seed() -> None:
    """The second is better for one seed than the first for another, and worse for every one."""
    first = measurement(0.981, 0.975, 0.988, seeded=True)
    second = measurement(0.980, 0.9741, 0.9869, seeded=True)
    paired = difference_of(first, second)
    assert paired.text.startswith("0.10 points [")
    unpaired = difference_of(replace(first, seeded=False), second)
    assert verdicts([paired]) == ["more than noise"]
    assert verdicts([unpaired]) == ["this may be noise"]


def test_many_statements_do_not_make_a_false_one_likely() -> None:
    """Ahead at 4 in 100: enough for a statement by itself, not for one of two."""
    lead, sure, single = Lead("a", 0.04), Lead("b", 0.001), Lead("c", why="from a single run")
    assert verdicts([lead]) == ["more than noise"]
    assert verdicts([lead, sure]) == ["more than noise", "more than noise"]
    assert verdicts([lead, lead]) == ["this may be noise", "this may be noise"]
    assert verdicts([lead, single]) == ["more than noise", "from a single run"]


def test_the_summary_names_the_fastest_and_the_most_accurate() -> None:
    said = dict(
        summary_sentences(comparable_sets([run for run in everything() if not run.contended], "train"))
    )
    assert said["Fastest to train, lstm"] == (
        "torch with 9,045 sequences/s (8,820 to 9,272), 1.13 times [1.09, 1.16] numpy: more than noise. "
        "And 1.29 times keras."
    )
    assert said["Most accurate"].startswith(
        "gru with 0.9872 of the test set (0.9870 to 0.9875), mean of 2 seeds, 0.20 points"
    )


def test_runs_that_differ_in_more_than_their_seed_never_share_a_figure() -> None:
    runs = [
        trained("torch", "lstm", 0),
        trained("torch", "lstm", 1, "cell.hidden=64"),
        trained("torch", "lstm", 2, "cell.hidden=64"),
        trained("torch", "lstm", 3, "train.batch_size=64"),
    ]
    found = comparable_sets(runs, "train")
    assert [one.title for one in found] == ["batch 128", "batch 64"]
    assert [(s.label, len(s.runs)) for s in found[0].series] == [
        ("lstm · torch, hidden=64", 2),
        ("lstm · torch, hidden=128", 1),
    ]


def test_other_sizes_are_named_whoever_made_them() -> None:
    """Two networks are no two backends."""
    runs = [
        *(trained("torch", "lstm", seed, "cell.hidden=8") for seed in range(3)),
        *(trained("numpy", "lstm", seed, "cell.hidden=512") for seed in range(3)),
    ]
    found = comparable_sets(runs, "train")
    assert [s.label for s in found[0].series] == ["lstm · numpy, hidden=512", "lstm · torch, hidden=8"]
    said = dict(summary_sentences(found))["Fastest to train, lstm"]
    assert said.startswith("torch, hidden=8 with 9,090 sequences/s")
    assert "numpy, hidden=512" in said
    other = [trained("numpy", "gru", 0, "cell.hidden=64"), trained("numpy", "lstm", 0)]
    assert [s.label for s in comparable_sets(other, "train")[0].series] == [
        "gru · numpy, hidden=64",
        "lstm · numpy, hidden=128",
    ]


def test_networks_of_several_sizes_have_no_mean() -> None:
    runs = [
        *(trained("torch", "lstm", seed, test_accuracy=0.990) for seed in range(3)),
        *(trained("torch", "lstm", seed, "cell.hidden=2", test_accuracy=0.300) for seed in range(4)),
        *(trained("torch", "gru", seed, test_accuracy=0.950 + 0.001 * seed) for seed in range(3)),
    ]
    found = comparable_sets(runs, "train")
    said = dict(summary_sentences(found))["Most accurate"]
    assert said.startswith("lstm, hidden=128 with 0.9900 of the test set")
    assert "3.90 points" in said
    assert "gru, hidden=128" in said
    squares = dict(result_matrix(runs, found).rows)
    (square,) = (each for each in squares["lstm"] if each.state == "ok")
    assert square.lines[0] == "0.3000"
    assert square.lines[2] == "hidden=2"
    assert square.more == "4 runs of torch, hidden=2; 3 of other configurations or under other conditions"


def test_runs_of_speed_alone_stand_in_the_grid_and_beside_trained_ones() -> None:
    timed = [
        trained(backend, "lstm", 0, "mode=throughput", test_accuracy=None, history=[], details={})
        for backend in ("numpy", "torch")
    ]
    crashed = replace(
        timed[0], backend="keras", status="crashed", reason="gone", key="k", implementation="fused"
    )
    runs = [trained("numpy", "rnn", 0), *timed, crashed]
    found = make_figures(runs)
    (bars,) = (figure for figure in found if figure.name == "throughput")
    labels = {bar.label for panel in bars.panels for bar in panel.chart.bars}
    assert labels == {"rnn · numpy", "lstm · numpy", "lstm · torch"}
    assert {panel.title.partition(": ")[2] for panel in bars.panels} == {"5 epochs", "speed alone"}
    rows = dict(result_matrix(runs, comparable_sets(runs, "train", "throughput")).rows)
    assert [square.lines[:2] for square in rows["lstm"] if square.state in ("ok", "bad")] == [
        ("crashed", "gone"),
        ("no accuracy", "8,000/s"),
        ("no accuracy", "9,000/s"),
    ]
    assert "Fastest to train, lstm" in dict(summary_sentences(comparable_sets(runs, "train", "throughput")))


def test_of_many_series_the_first_are_drawn_and_the_others_counted() -> None:
    one = trained("torch", "lstm", 0)
    many = [
        replace(one, train_throughput=1000.0 + n, config={**one.config, "init": f"{n}"}) for n in range(50)
    ]
    figure = throughput_figure(comparable_sets(many, "train"))
    bars = figure.panels[0].chart.bars
    assert len(bars) == 40
    assert min(bar.value for bar in bars) == 1010
    assert figure.notes[0].startswith("40 of 50 series, the fastest in training, are shown")


@pytest.mark.parametrize(
    ("matrix", "said", "drawn"),
    [
        ([[5, 0], [0, 5]], "None is missed.", 1),
        ([[4, 1, 0], [0, 0, 5], [0, 0, 5]], "1 in 5 of 5 (100.0 %), mostly taken for 2; 0 in 1 of 5", 1),
        ([[1] * 30] * 30, "a matrix of 30 classes is not drawn", 0),
    ],
)
def test_what_is_missed(matrix: list[list[int]], said: str, drawn: int) -> None:
    figure = confusion_figure(
        comparable_sets([replace(trained("torch", "lstm", 0), details={"confusion": matrix})], "train")
    )
    assert said in "\n".join(figure.notes)
    assert len(figure.panels) == drawn


def test_unsteady_series_are_marked_where_their_training_is_shown() -> None:
    runs = [
        trained("torch", "lstm", 0, train_throughput_best=12_000.0, unsteady=True),
        trained("torch", "lstm", 1, train_throughput_best=9_100.0, unsteady=False),
        trained("numpy", "lstm", 0),
    ]
    training, prediction = throughput_figure(comparable_sets(runs, "train")).panels
    assert {bar.label for bar in training.chart.bars} == {"lstm · torch ‡", "lstm · numpy"}
    assert {bar.label for bar in prediction.chart.bars} == {"lstm · torch", "lstm · numpy"}
    assert counts(runs) == "3 runs, all of them ok. 1 trained at an unsteady speed (‡)."
