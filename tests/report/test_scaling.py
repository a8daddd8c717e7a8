"""Speed over size: runs that measure nothing else, what is concluded from them, the figure."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.numpy.reference import max_sequences
from harness.config import dataset
from harness.config.compose import configuration
from harness.errors import ConfigError
from harness.measure.clock import now
from harness.report.scaling import plot
from harness.report.scaling.fit import fit_seconds
from harness.report.scaling.lines import group_lines
from harness.report.scaling.render import render
from harness.store.attempts import new_attempt, write_record
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.records import PEAK, measured, record
from tests.support.refusals import refused

QUICK = ("mode=throughput", "measure.seconds=0.05", "cell.hidden=8")


SIZES = [
    (),
    *((f"train.batch_size={size}",) for size in (1, 4, 16, 64, 256, 1024)),
    *((f"cell.hidden={size}",) for size in (32, 64, 256, 512, 1024)),
    ("sequence.rows_per_step=4",),
    ("sequence.rows_per_step=2",),
    ("sequence=pixel",),
]
BACKENDS = (("keras", 4e-3, 4e-4, 4.5e10), ("numpy", 4e-4, 8e-5, 6e10), ("torch", 6e-4, 3e-5, 8e10))


@cache
def sweep() -> tuple[RunRecord, ...]:
    return tuple(measured(*backend, *size) for backend in BACKENDS for size in SIZES)


def stored(results: Path, *records: RunRecord) -> Path:
    for one in records:
        write_record(one, new_attempt(results, one.key, now()))
    return results


# the mode


@pytest.mark.parametrize(
    "backend", ["numpy", *(pytest.param(name, marks=pytest.mark.long) for name in ("torch", "keras"))]
)
def test_a_run_measures_speed_and_nothing_else(run: Shell, results: Path, backend: str) -> None:
    arguments = (f"backend={backend}", *QUICK, "train.batch_size=4", "evaluate.batch_size=7")
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert "accuracy" not in done.stdout + done.stderr
    assert re.search(r"ok: [\d,]+ sequences/s, [\d,]+ µs an update", done.stderr)
    assert "| inference_throughput | peak_fraction |" in done.stdout
    (path,) = results.glob("runs/*/*/record.json")
    found = RunRecord.read(path)
    assert (found.mode, found.epochs, found.status) == ("throughput", 0, "ok")
    assert found.test_accuracy is found.validation_accuracy is found.train_loss is None
    assert found.history == []
    assert found.parity_gradient < 1e-4
    assert found.details["parity"]["sequences"] == 4
    for name, size, rate in (
        ("windows", 4, found.train_throughput),
        ("inference_windows", 7, found.inference_throughput),
    ):
        windows = found.timing[name]
        assert len(windows) >= 3
        assert sum(window["seconds"] for window in windows) >= 0.05
        assert all(window["sequences"] == size * window["steps"] for window in windows)
        rates = [window["sequences"] / window["seconds"] for window in windows]
        assert min(rates) <= rate <= max(rates)
    assert found.timing["warm_up"]["seconds"] >= 0.01  # measure.window_seconds
    assert 0 < found.peak_fraction < 1
    again = run(*arguments)
    assert "complete already" in again.stderr
    assert len(list(results.glob("runs/*/*/record.json"))) == 1


def test_a_step_that_takes_longer_than_asked_for_is_timed_once(run: Shell, results: Path) -> None:
    done = run("backend=numpy", *QUICK, "measure.seconds=0.000001", "measure.window_seconds=0.000001")
    assert done.returncode == 0, done.stderr
    (path,) = results.glob("runs/*/*/record.json")
    timing = RunRecord.read(path).timing
    assert timing["warm_up"]["steps"] == 1
    assert [window["steps"] for window in timing["windows"]] == [1]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("save_weights=true", "save_weights=True: is about a model that was trained: needs mode=train"),
        (
            "diagnostics=gradient_flow",
            "diagnostics='gradient_flow': is about a model that was trained: needs mode=train",
        ),
        ("cell=echo_state", "train.solver='ridge': makes no updates to time: mode=throughput needs gradient"),
        ("measure.seconds=0", "measure.seconds=0: must be a number in (0, 86400]"),
    ],
)
def test_what_has_no_meaning_for_speed_alone(overrides: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        configuration(["data=digits", "mode=throughput", *overrides.split()])
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "compared"),
    [
        ("", 128),
        ("train.batch_size=256 cell.hidden=256", 256),
        ("sequence=pixel", 20),
        ("sequence=pixel cell.hidden=1024 model.layers=3", 1),
    ],
)
def test_parity_is_over_as_many_sequences_as_the_reference_can_hold(overrides: str, compared: int) -> None:
    config = configuration(["data=digits", *overrides.split()])
    assert (
        min(config.train.batch_size, max_sequences(config.model_spec(dataset.shape_of(config)))) == compared
    )


@pytest.mark.long
def test_the_record_says_over_how_many_sequences(run: Shell, results: Path) -> None:
    done = run(
        "backend=numpy", *QUICK, "cell=rnn", "cell.hidden=256", "sequence=pixel", "train.batch_size=16"
    )
    assert done.returncode == 0, done.stderr
    (path,) = results.glob("runs/*/*/record.json")
    assert RunRecord.read(path).details["parity"]["sequences"] == 2**21 // (784 * 256)


# the sweep, and what comes of it


@pytest.mark.long
def test_a_sweep_then_its_tables_and_its_figure(
    run: Shell, results: Path, tmp_path: Path, harness_command: Shell
) -> None:
    sizes = "size=base,batch_1,batch_16,hidden_32,steps_7"
    sweep = (
        "-m",
        "+experiment=scaling",
        "backend=numpy",
        "cell=rnn",
        "data=digits",
        sizes,
        "threads=1",
        "seed=0",
    )
    done = run(*sweep, "measure.seconds=0.05", "measure.window_seconds=0.01", small=False)
    assert done.returncode == 0, done.stderr
    assert "[5/5] numpy rnn-128 digits row×4 batch 128" in done.stderr
    path = tmp_path / "scaling.svg"
    done = harness_command("scaling", "--results", str(results), "--plot", str(path))
    assert done.returncode == 0, done.stderr
    heads = [
        line.split(":")[0] for line in done.stdout.splitlines() if "; " in line and "rnn, digits" in line
    ]
    assert heads == ["Batch size", "Hidden units", "Time steps"]
    for row in (r"16 \|", r"32 \|", r"7 \|"):
        assert re.search(rf"\| numpy   \| +{row}( +[\d.,]+ \|){{3}} +[\d.]+ % \|", done.stdout), done.stdout
    said = [line for line in done.stdout.splitlines() if line.startswith("- numpy: ")]
    assert len(said) == 1, "two points of hidden units and of steps are too few for a fit"
    assert re.search(r"µs of overhead an update, arithmetic at [\d.,]+ GFLOP/s; .*half of the time", said[0])
    assert "of the peak | arithmetic |" in done.stdout
    texts = {element.text for element in ElementTree.parse(path).iter() if element.text}
    assert {"batch size", "hidden units", "time steps", "training GFLOP/s", "numpy"} <= texts


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--results", "nowhere"), "nowhere: no such results directory"),
        (
            ("--results", "conf"),
            "no runs of mode=throughput in conf; make some with: python run.py -m +exper",
        ),
        (("--plot", "x.gif"), "--plot x.gif: must end in .svg, .png or .pdf"),
        (("--plot", "nowhere/x.svg"), "--plot nowhere/x.svg: nowhere is not a directory; create it first"),
    ],
)
def test_what_cannot_be_shown(
    tmp_path: Path, harness_command: Shell, arguments: tuple[str, ...], said: str
) -> None:
    if "--results" not in arguments:
        arguments = (*arguments, "--results", str(stored(tmp_path, *sweep())))
    refused(harness_command("scaling", *arguments), said)


def test_one_size_alone_is_no_line(tmp_path: Path, harness_command: Shell) -> None:
    stored(tmp_path, measured(*BACKENDS[0]))
    refused(harness_command("scaling", "--results", str(tmp_path)), "no two runs of mode=throughput in")


def test_where_no_run_ended_ok_all_are_named(tmp_path: Path, harness_command: Shell) -> None:
    stored(tmp_path, record("crashed", "SIGSEGV", "mode=throughput", contended=True))
    done = harness_command("scaling", "--results", str(tmp_path))
    assert done.stdout.startswith("Not ok:"), done.stderr
    assert "Measured on" not in done.stdout
    done = harness_command("scaling", "--results", str(tmp_path), "--plot", str(tmp_path / "x.svg"))
    refused(done, "no two runs that ended ok differ in their size alone")


def test_without_matplotlib_it_says_how_to_get_it(
    tmp_path: Path, harness_command: Shell, shadow: Callable[[str, str], dict[str, str]]
) -> None:
    env = shadow("matplotlib", "raise ModuleNotFoundError(\"No module named 'matplotlib'\")")
    stored(tmp_path, *sweep())
    done = harness_command("scaling", "--results", str(tmp_path), env=env)
    assert done.returncode == 0, "the tables need no matplotlib"
    done = harness_command("scaling", "--results", str(tmp_path), "--plot", str(tmp_path / "x.svg"), env=env)
    refused(done, "pip install -c constraints.txt matplotlib")


def test_the_conclusions_are_those_that_the_runs_were_made_by() -> None:
    """Keras: 4 ms + 28 · 0.4 ms = 15.2 ms before any arithmetic at 45 GFLOP/s, half of it at batch 55."""
    text = render(sweep(), group_lines(sweep()))
    flops = record().training_flops_per_sequence
    assert flops is not None
    assert round(15.2e-3 * 4.5e10 / flops) == 55
    assert (
        "- keras: 15,200 µs of overhead an update, arithmetic at 45 GFLOP/s; "
        "half of the time is arithmetic at batch size 55 (fit: 0.0 % off, at most 0.0 %)"
    ) in text
    inputs, states, readout = 2 * 28 * 4 * 28 * 80, (3 * 28 - 1) * 4 * 80 * 80, 3 * 10 * 80
    assert pytest.approx(15.2e-3 * 4.5e10, rel=0.02) == 128 * 2 * (inputs + states + readout)
    assert "half of the time is arithmetic at 80 hidden units" in text
    assert "- torch: 1,440 µs of overhead" in text
    assert "more than half of the time is arithmetic already at 32 hidden units" in text
    slow = [measured("numpy", 1.0, 0, 1e12, *size) for size in SIZES]
    text = render(slow, group_lines(slow))
    assert "more than half of the time is overhead still at batch size 1,024" in text


def test_a_curve_says_what_tells_it_apart_and_cells_never_share_a_line() -> None:
    runs = [
        *(
            measured("torch", 1e-3, 0, 1e11, f"train.batch_size={b}", implementation="fused")
            for b in (1, 2, 4)
        ),
        *(
            measured("torch", 2e-3, 0, 1e11, f"train.batch_size={b}", implementation="loop")
            for b in (1, 2, 4)
        ),
        *(measured("numpy", 1e-3, 0, 1e11, f"train.batch_size={b}", "cell=gru") for b in (1, 2)),
        measured("numpy", 1e-3, 0, 1e11, "train.batch_size=4", "model.layers=2"),
        record("ok", None, "train.batch_size=8", train_throughput=1.0),
    ]
    lines = group_lines(runs)
    assert [line.family.split(",")[0] for line in lines] == ["lstm", "gru"]
    assert lines[0].family == "lstm, mnist, model.layers=1"
    assert [(curve.label, len(curve.points)) for line in lines for curve in line.curves] == [
        ("torch fused", 3),
        ("torch loop", 3),
        ("numpy", 2),
    ]


def test_shards_have_a_curve_of_their_own() -> None:
    runs = [
        measured("torch", seconds, 0, 1e11, f"train.batch_size={b}", f"backend.shards={shards}", "threads=2")
        for shards, seconds in ((1, 2e-3), (2, 1e-3))
        for b in (1, 2)
    ]
    (line,) = group_lines(runs)
    assert [curve.label for curve in line.curves] == ["torch 1 shards", "torch 2 shards"]


def test_a_curve_says_its_device_where_there_are_several() -> None:
    runs = [
        measured(backend, 1e-3, 0, 1e11, f"train.batch_size={b}", device_name=device)
        for backend, device in (("numpy", "Some CPU"), ("torch", "Some GPU"))
        for b in (1, 2)
    ]
    (line,) = group_lines(runs)
    assert [curve.label for curve in line.curves] == ["numpy Some CPU", "torch Some GPU"]


def test_seeds_share_a_point_and_a_run_that_is_not_ok_is_named() -> None:
    runs = [
        measured("numpy", 1e-3, 0, 1e11, "seed=0"),
        measured("numpy", 3e-3, 0, 1e11, "seed=1", contended=True),
        measured("numpy", 1e-3, 0, 1e11, "train.batch_size=1", peak_flops_per_second=2 * PEAK),
        record("out_of_memory", "killed by the kernel", "mode=throughput", "train.batch_size=1024"),
    ]
    (line,) = group_lines(runs)
    (curve,) = line.curves
    throughput = np.mean([run.train_throughput for run in runs[:2]])  # as a table sums it up
    assert curve.points[1].seconds == pytest.approx(runs[0].batch_size / throughput)
    assert curve.peak == 2 * PEAK, "a peak is what nothing disturbed"
    text = render(runs, [line])
    assert re.search(r"\| out_of_memory \| killed by the kernel", text)
    assert "Without the cores to itself, do not trust the timing: numpy at batch size 128, 128 hidden" in text


def test_no_share_of_a_peak_is_above_1() -> None:
    runs = [measured("numpy", 0, 0, rate, f"train.batch_size={b}") for b, rate in ((1, 0.5e11), (2, 1.2e11))]
    text = render(runs, group_lines(runs))
    assert re.findall(r"\| +(\d+) \| +(\d+ %|–) \| +– \|", text) == [("50", "50 %"), ("120", "–")]


@given(
    st.floats(1e-5, 1e-1),
    st.floats(1e8, 1e13),
    st.lists(st.floats(1e5, 1e12), min_size=3, max_size=9, unique=True),
    st.floats(0, 0.05),
)
def test_the_fit_recovers_overhead_and_rate(
    overhead: float, rate: float, flops: list[float], noise: float
) -> None:
    flops = [overhead * rate / 100, *flops, overhead * rate * 100]  # both parts are seen
    signs = np.where(np.arange(len(flops)) % 2, 1, -1)
    seconds = (overhead + np.array(flops) / rate) * (1 + noise * signs)
    fit = fit_seconds(flops, seconds.tolist())
    assert fit is not None
    assert fit.overhead == pytest.approx(overhead, rel=1e-6 + 6 * noise)
    assert 1 / fit.slope == pytest.approx(rate, rel=1e-6 + 6 * noise)
    assert max(fit.errors) <= 1e-6 + 6 * noise


def test_no_fit_of_two_points_and_nothing_negative() -> None:
    assert fit_seconds([1.0, 2.0], [1.0, 2.0]) is None
    faster_with_size = fit_seconds([1.0, 2.0, 4.0], [3.0, 2.0, 1.0])
    assert faster_with_size is not None
    assert faster_with_size.slope == 0
    assert faster_with_size.overhead > 0
    assert max(faster_with_size.errors) > 0.2, "and it says how bad it is"


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_a_figure_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"figure{suffix}"
    plot.write(path, group_lines(sweep()))
    assert path.read_bytes().startswith({".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix])
    first = path.read_bytes()
    plot.write(path, group_lines(sweep()))
    assert path.read_bytes() == first
