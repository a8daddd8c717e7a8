"""Statistics, parity distances, products, memory and contention."""

import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.backends.base import Gradients, Setup
from harness.errors import ParityFailed
from harness.measure.clock import timed
from harness.measure.contention import MAX_SWITCHES, Contention, ContentionMonitor
from harness.measure.machine import cores
from harness.measure.statistics import pooled, window_rates
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec
from harness.runner import roofline
from harness.runner.parity import gradients as parity
from tests.support.parity import Case, open_session


@given(
    st.lists(st.tuples(st.integers(1, 500), st.floats(0.001, 3)), min_size=1, max_size=50),
    st.floats(0.01, 2),
)
@example([(1, 1.6098220935603407)] * 3, 1.6098220935603407)  # three times a number, divided by it, is below 3
def test_pooling_keeps_all_work_and_all_time(windows: list[tuple[int, float]], at_least: float) -> None:
    work, seconds = zip(*windows, strict=True)
    rates = pooled(work, seconds, at_least)
    assert 1 <= len(rates) <= max(1, sum(seconds) / at_least * (1 + 1e-9))
    assert min(rates) <= sum(work) / sum(seconds) * (1 + 1e-9)
    assert max(rates) >= sum(work) / sum(seconds) * (1 - 1e-9)


def test_a_short_training_has_six_rates_of_neighbouring_epochs() -> None:
    windows = [{"epoch": n, "sequences": 10 * n, "seconds": n % 3 + 1.0} for n in range(1, 14)]
    rates = window_rates(windows, 10.0)
    assert rates == [60 / 6, 90 / 5, 130 / 3, 170 / 4, 210 / 5, 250 / 3]
    assert len(window_rates(windows, 4.0)) == 6
    assert len(window_rates([{**window, "epoch": 1} for window in windows], 10.0)) == 2


def setup_and_case() -> tuple[Setup, Case]:
    case = Case("gru")
    return Setup(model=case.model, optimizer=OptimizerSpec(), precision="float64"), case


class Wrong:
    """A session whose gradient of one parameter is off by a factor."""

    def __init__(self, name: str, factor: float) -> None:
        self.session = open_session("numpy", Case("gru"), "loop", OptimizerSpec())
        self.name, self.factor = name, factor

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        found = self.session.gradients(x, y)
        found.gradients[self.name] = found.gradients[self.name] * self.factor
        return found


@pytest.mark.parametrize("factor", [1 + 1e-3, float("nan"), float("inf")])
def test_parity_names_the_parameter_that_is_off(factor: float) -> None:
    setup, case = setup_and_case()
    name = "layers.0.forward.W_hz"
    found = parity.measure(Wrong(name, factor), setup, case.weights(), *case.data())
    assert found.worst == name
    with pytest.raises(ParityFailed, match=name):
        parity.check_limit(found)


def test_parity_of_the_reference_with_itself_is_nothing() -> None:
    setup, case = setup_and_case()
    found = parity.measure(Wrong("readout.b", 1.0), setup, case.weights(), *case.data())
    parity.check_limit(found)
    assert found.gradient == 0
    assert found.loss == 0


def test_float32_is_held_to_its_own_limit() -> None:
    setup, case = setup_and_case()
    found = parity.measure(
        Wrong("readout.b", 1 + 5e-5), replace(setup, precision="float32"), case.weights(), *case.data()
    )
    assert found.gradient == pytest.approx(5e-5, rel=1e-3)
    parity.check_limit(found)


@pytest.mark.parametrize(
    ("cell", "layers", "expected"),
    [
        ("lstm", 1, (100, 16, 64)),  # (B, H) by the matrices of four gates
        ("gru", 2, (100, 16, 48)),
        ("rnn", 1, (100, 16, 16)),
        ("hopfield", 1, (100, 16, 16)),
        ("mingru", 1, (2800, 20, 32)),  # nothing multiplies the state: (T·B, I) by those of two gates
        ("mingru", 2, (2800, 16, 32)),  # the upper layer reads H
        ("fir", 1, (2800, 3 * 20, 16)),
        ("mlp", 1, (100, 28 * 20, 16)),
    ],
)
def test_the_own_shape_of_a_run(cell: str, layers: int, expected: tuple[int, int, int]) -> None:
    model = ModelSpec(cell, 28, 20, 16, 10, layers, options={"taps": 3} if cell == "fir" else {})
    assert roofline.own_shape(model, batch=100, steps=28) == expected


def test_more_rows_than_matter_are_left_out() -> None:
    model = ModelSpec("indrnn", 784, 1, 16, 10)
    assert roofline.own_shape(model, batch=128, steps=784) == (4096, 1, 16)


class Slow:
    """A session whose products take as many seconds as they have, except the first, at 1 GFLOP/s."""

    def __init__(self) -> None:
        self.done: list[tuple[int, ...]] = []

    def matmul(self, m: int, k: int, n: int, repeats: int) -> None:
        first = (m, k, n) not in self.done
        self.done.append((m, k, n))
        time.sleep(0.01 * first + 4e-9 * m * k * n * repeats)

    def synchronize(self) -> None: ...


def test_products_count_there_and_back_and_large_ones_that_take_long_are_left_out() -> None:
    session = Slow()
    found = roofline.measure(session, (100, 100, 100))
    assert set(session.done) == {(100, 100, 100), (512, 512, 512)}
    assert found.at_own_shape == pytest.approx(1e9, rel=0.2)
    assert list(found.by_name()) == ["100×100×100", "512×512×512"]
    assert found.peak == max(found.by_name().values())
    assert session.done[-1] == (100, 100, 100), "the session keeps the smaller matrices"


def test_of_two_measurements_the_better_counts_for_every_shape() -> None:
    one, two, three = (1, 1, 1), (2, 2, 2), (3, 3, 3)
    before = roofline.Roofline({one: 4.0, two: 1.0, three: 6.0}, one)
    after = roofline.Roofline({one: 3.0, two: 5.0}, one)
    best = after.better(before)
    assert best.rates == {one: 4.0, two: 5.0, three: 6.0}
    assert (best.peak, best.at_own_shape) == (6.0, 4.0)


@pytest.mark.alone
@pytest.mark.parametrize("backend", ["numpy", "torch", pytest.param("keras", marks=pytest.mark.long)])
def test_products_of_a_backend_do_the_work_that_is_asked_for(backend: str) -> None:
    """Four times the repeats take about four times as long: none is skipped, none is still under way."""
    session = open_session(backend, Case("gru"), "loop", OptimizerSpec())
    session.matmul(64, 256, 512, 1)
    seconds = {
        repeats: min(timed(session, partial(session.matmul, 64, 256, 512, repeats))[1] for _ in range(7))
        for repeats in (20, 80)
    }
    assert 2 < seconds[80] / seconds[20] < 8


def test_peak_memory_is_that_of_this_program_and_grows_with_what_is_held() -> None:
    """In a small child of this large process: what it was forked from must not count."""
    code = (
        "from harness.measure.memory import peak_memory_bytes\n"
        "before = peak_memory_bytes(); held = bytearray(200_000_000)\n"
        "print(before, peak_memory_bytes() - before)"
    )
    held = np.ones(60_000_000)  # 480 MB here
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, grown = map(int, done.stdout.split())
    assert before < held.nbytes / 2
    assert 190e6 < grown < 230e6


@pytest.mark.parametrize(
    ("others", "switches", "load", "verdict"),
    [
        (None, None, 0.0, None),
        (0.0, 3.0, 0.5, False),
        (0.06, 3.0, 0.5, True),
        (0.04, 270.0, 0.5, True),  # short, and often
        (0.02, 270.0, 0.5, False),  # its own threads, and the sweep's own processes
        (None, 270.0, 0.5, True),
        (None, 3.0, 0.5, False),
        (0.0, 3.0, 1.5, False),  # a load that was over before the run began
        (0.04, 3.0, 1.5, True),
        (None, 3.0, 1.5, True),
        (None, None, 1.5, None),
    ],
)
def test_which_levels_mean_contended(
    others: float | None, switches: float | None, load: float, verdict: bool | None
) -> None:
    assert Contention(others, switches, (os.cpu_count() or 1) + load).contended is verdict


@pytest.mark.alone
def test_being_put_off_a_core_is_counted() -> None:
    """A busy loop beside another on the same core: both are put off it, many times a second."""
    core = cores()[-1]
    code = "import os, sys; from tests.measure.test_measure import spin; spin(int(sys.argv[1]), 30.0)"
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no process can be pinned to a core here")
    other = subprocess.Popen([sys.executable, "-c", code, str(core)], stdout=subprocess.DEVNULL)
    before = os.sched_getaffinity(0)
    try:
        while psutil.Process(other.pid).cpu_times().user < 1.0:
            time.sleep(0.05)
        contention = ContentionMonitor([core])
        spin(core, 2.0)
        found = contention.result()
    finally:
        os.sched_setaffinity(0, before)
        other.kill()
        other.wait()
    assert found.involuntary_switches_per_second is not None
    assert found.involuntary_switches_per_second > MAX_SWITCHES


def spin(core: int, seconds: float) -> None:
    import os

    os.sched_setaffinity(0, [core])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.mark.alone
def test_others_on_the_same_core_are_noticed_and_own_processes_are_not() -> None:
    core = cores()[-1]
    contention = ContentionMonitor([core])
    if not contention.share_known:
        pytest.skip("only Linux tells how long each core was busy")
    assert contention.result().others_share_of_cores is None  # too short to tell
    own = multiprocessing.get_context("spawn").Process(target=spin, args=(core, 3.0))
    own.start()
    own.join()
    share = contention.result().others_share_of_cores
    assert share is not None
    assert share < 0.3
    contention = ContentionMonitor([core])
    code = f"import os; from tests.measure.test_measure import spin; os.fork() or spin({core}, 6.0)"
    subprocess.run([sys.executable, "-c", code], check=True)  # leaves another behind that is not ours
    time.sleep(4.0)
    share = contention.result().others_share_of_cores
    assert share is not None
    assert share > 0.4
