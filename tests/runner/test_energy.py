"""What a run records of its energy and of its GPU, from the counters to the table."""

import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.measure import energy, gpu_contention
from harness.runner import context as contexts
from harness.runner.protocol import Job, Message, Update
from harness.runner.run import run as run_job
from harness.runner.training import TrainingProgress
from harness.store.record import RunRecord
from tests.conftest import SMALL, Shell
from tests.support.children import Shadow, in_children
from tests.support.configurations import composed
from tests.support.nvidia import Card, NvidiaMachine

UUID = "GPU-aa11-1"
RANGE = 29_999  # µJ, after which a counter begins again: within an epoch, not within a window
STEP = 1_000  # µJ that a step of training takes
WATTS = 20.0
COUNTER = f"""
import time
from pathlib import Path
import harness.measure.energy as energy
energy.POWERCAP, energy._packages = Path({{powercap!r}}), lambda: "0"
stored = energy._read
def read(path):
    counted = str(int({WATTS} * 1e6 * time.monotonic()) % 1_000_000)
    return counted if path.name == "energy_uj" else stored(path)
energy._read = read
"""
Parts = dict[str, dict[str, Any]]
Make = Callable[..., Parts]


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    """The package of a processor."""
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text(f"{RANGE}\n")
    return zone


def test_a_run_on_a_processor(
    run: Shell, results: Path, zone: Path, shadow: Shadow, harness_command: Shell
) -> None:
    (zone / "max_energy_range_uj").write_text("999999\n")
    env = shadow("sitecustomize", in_children(COUNTER.format(powercap=str(zone.parent))))
    done = run("backend=numpy", "mode=throughput", "measure.seconds=0.3", env=env)
    assert done.returncode == 0, done.stderr
    (record,) = map(RunRecord.read, results.glob("runs/*/*/record.json"))
    assert record.energy_joules is not None
    assert record.train_seconds is not None
    assert WATTS * record.train_seconds < record.energy_joules
    assert record.energy_joules < WATTS * math.fsum(record.timing["phases"].values())
    assert record.details["energy"]["meter"] == "RAPL"
    metric = "joules_per_1000_sequences"
    shown = harness_command("table", "--results", str(results), "--metric", metric)
    assert shown.returncode == 0, shown.stderr
    assert metric in shown.stdout
    assert f"{record.joules_per_1000_sequences:.4g}" in shown.stdout


@pytest.fixture
def card(nvidia: NvidiaMachine) -> Card:
    """The GPU of this process."""
    nvidia.install(3, told={"0000:10:00.0": (3, UUID)})
    card = Card(3, UUID)
    nvidia.nvml(card)
    return card


@pytest.fixture
def make(card: Card, zone: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Make:
    """Makes a run in this process, whose session says that it computes on a device; what it reports. The
    counters of the GPU and of the processor count what the session does."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", UUID)
    for counter in (energy.CardCounter, energy.PackageCounters):
        monkeypatch.setattr(counter, "least_seconds", 0.0)
    monkeypatch.setattr(gpu_contention, "FADE_SECONDS", 0.1)
    monkeypatch.setattr(energy, "POWERCAP", zone.parent)
    monkeypatch.setattr(energy, "_packages", lambda: {"0"})
    (zone / "energy_uj").write_text(str(RANGE))
    plain = contexts.open_session

    def consume(microjoules: int) -> None:
        card.millijoules += microjoules // 1000
        count = int((zone / "energy_uj").read_text()) + microjoules
        (zone / "energy_uj").write_text(str(count % (RANGE + 1)))

    def open_session(device: str, backend: str, setup: Any) -> Any:
        session = plain(backend, setup)
        session.device, train, predict = device, session.train, session.predict

        def consume_and_train(batches: Any, rates: Any) -> Any:
            consume(STEP * len(batches))
            return train(batches, rates)

        def consume_and_predict(*arguments: Any) -> Any:
            consume(RANGE // 2)
            return predict(*arguments)

        session.train, session.predict = consume_and_train, consume_and_predict
        return session

    def make_run(device: str, *overrides: str) -> Parts:
        monkeypatch.setattr(contexts, "open_session", partial(open_session, device))
        config, gpu = composed(*SMALL, "backend=numpy", *overrides), None if device == "cpu" else device
        job = Job(config, 1, (0,), gpu, tmp_path, None, key="k", started="now", checkpoints=tmp_path)
        found: Parts = {"columns": {}, "details": {}, "timing": {}}

        def keep(message: Message) -> None:
            if isinstance(message, Update):
                for part in found:
                    found[part] |= getattr(message, part)

        run_job(job, keep)
        return found

    return make_run


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.parametrize("mode", [("train.epochs=3",), ("mode=throughput", "measure.seconds=0.05")])
def test_what_training_consumes_is_counted_and_nothing_else(
    device: str, mode: tuple[str, ...], make: Make
) -> None:
    found = make(device, "measure.window_seconds=0.001", "train.batch_size=32", *mode)
    columns, windows = found["columns"], found["timing"]["windows"]
    steps = sum(window["steps"] for window in windows)
    sequences = sum(window["sequences"] for window in windows)
    assert columns["energy_joules"] == pytest.approx(steps * STEP / 1e6)
    assert columns["joules_per_1000_sequences"] == pytest.approx(steps * STEP / 1e3 / sequences)
    assert found["details"]["energy"]["meter"] == ("RAPL" if device == "cpu" else "NVML")
    assert "reason" not in found["details"]["energy"]


def test_a_run_without_training(make: Make) -> None:
    found = make("cpu", "train.epochs=0")
    assert "energy_joules" not in found["columns"]
    assert found["details"]["energy"]["reason"] == "no training was measured"


def test_epochs_that_an_earlier_version_trained_have_no_energy() -> None:
    progress = TrainingProgress.begin(composed())
    progress.history, progress.joules = [{"epoch": 1}, {"epoch": 2}], [3.0, 4.0]
    stored = progress.to_mapping()
    assert TrainingProgress.resumed(stored).joules == [3.0, 4.0]
    del stored["joules"]
    assert TrainingProgress.resumed(stored).joules == [None, None]


def test_others_on_a_gpu_and_its_state(card: Card, make: Make) -> None:
    me = os.getpid()
    card.samples, card.pids, card.events = [(me, 90), (me + 10**8, 50)], [me], 4
    found = make("cuda:0", "train.epochs=1")
    columns, details = found["columns"], found["details"]
    assert (columns["contended"], details["gpu"]["others_share"]) == (True, 0.5)
    assert [state["clock_event_reasons"] for state in details["gpu_state"].values()] == [["sw_power_cap"]] * 2


def test_without_nvml_a_run_says_why_it_knows_nothing(nvidia: NvidiaMachine, make: Make) -> None:
    nvidia.nvml_is_missing()
    found = make("cuda:0", "train.epochs=1")
    columns, details = found["columns"], found["details"]
    assert (columns["energy_joules"], columns["joules_per_1000_sequences"]) == (None, None)
    assert columns["contended"] is not False  # it is known if the cores were contended
    reasons = {
        details["energy"]["reason"],
        *details["gpu"]["not_told"].values(),
        *(state["reason"] for state in details["gpu_state"].values()),
    }
    assert len(reasons) == 1
    assert reasons.pop().startswith("NVML: nvidia-ml-py is not installed; install it: pip install ")
