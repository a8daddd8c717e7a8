"""What a run records of its energy and of its GPU, from the counters to the table."""

import os
from pathlib import Path
from typing import Any

import pytest

from harness.measure import energy, gpu_contention
from harness.runner import context as contexts
from harness.runner.protocol import Job, Message, Update
from harness.runner.run import run as run_job
from harness.store.record import RunRecord
from tests.conftest import SMALL, Shell
from tests.support.children import Shadow, in_children
from tests.support.configurations import composed
from tests.support.nvidia import WATTS, Card, NvidiaMachine

UUID = "GPU-aa11-1"
COUNTER = """
import threading, time
from pathlib import Path
import harness.measure.energy as energy
energy.POWERCAP = Path({powercap!r})
zone = energy.POWERCAP / "intel-rapl:0"
def consume():
    began = time.monotonic()
    while {power}:
        (zone / "new").write_text(str(int({power} * 1e6 * (time.monotonic() - began)) % 100_000_000))
        (zone / "new").rename(zone / "energy_uj")
        time.sleep(0.001)
threading.Thread(target=consume, daemon=True).start()
"""


@pytest.fixture
def powered(shadow: Shadow, tmp_path: Path) -> Any:
    """An environment in which a processor draws so many watts, by its counter."""
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, value in (("name", "package-0"), ("max_energy_range_uj", "99999999"), ("energy_uj", "0")):
        (zone / name).write_text(f"{value}\n")

    def env(watts: float) -> dict[str, str]:
        code = COUNTER.format(powercap=str(zone.parent), power=watts)
        return shadow("sitecustomize", in_children(code))

    return env


@pytest.mark.parametrize("mode", [("train.epochs=3",), ("mode=throughput", "measure.seconds=0.3")])
def test_the_energy_of_training_on_a_processor(
    run: Shell, results: Path, powered: Any, harness_command: Shell, mode: tuple[str, ...]
) -> None:
    done = run("backend=numpy", *mode, env=powered(20.0))
    assert done.returncode == 0, done.stderr
    (record,) = map(RunRecord.read, results.glob("runs/*/*/record.json"))
    assert record.energy_joules is not None
    assert record.train_seconds is not None
    assert record.energy_joules == pytest.approx(20.0 * record.train_seconds, rel=0.3)
    sequences = sum(window["sequences"] for window in record.timing["windows"])
    assert record.joules_per_1000_sequences == pytest.approx(1000 * record.energy_joules / sequences)
    assert record.details["energy"]["meter"] == "RAPL"
    metric = "joules_per_1000_sequences"
    shown = harness_command("table", "--results", str(results), "--metric", metric)
    assert shown.returncode == 0, shown.stderr
    assert metric in shown.stdout
    assert f"{record.joules_per_1000_sequences:.4g}" in shown.stdout


def test_a_processor_without_a_counter_that_moves(run: Shell, results: Path, powered: Any) -> None:
    done = run("backend=numpy", "train.epochs=3", env=powered(0))
    assert done.returncode == 0, done.stderr
    (record,) = map(RunRecord.read, results.glob("runs/*/*/record.json"))
    assert (record.energy_joules, record.joules_per_1000_sequences) == (None, None)
    assert record.details["energy"]["reason"]


@pytest.fixture
def on_gpu(nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes a run whose session says that it computes on a GPU; what it reports."""
    nvidia.install(3, told={"0000:10:00.0": (3, UUID)})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", UUID)
    monkeypatch.setattr(energy.CardCounter, "least_seconds", 0.01)
    monkeypatch.setattr(gpu_contention, "FADE_SECONDS", 0.1)
    plain = contexts.open_session

    def open_session(backend: str, setup: Any) -> Any:
        session = plain(backend, setup)
        session.device = "cuda:0"
        return session

    monkeypatch.setattr(contexts, "open_session", open_session)

    def make(*overrides: str) -> dict[str, dict[str, Any]]:
        config = composed(*SMALL, "backend=numpy", *overrides)
        job = Job(config, 1, (0,), "cuda:0", tmp_path, None, key="k", started="now", checkpoints=tmp_path)
        found: dict[str, dict[str, Any]] = {"columns": {}, "details": {}, "timing": {}}

        def keep(message: Message) -> None:
            if isinstance(message, Update):
                for part in found:
                    found[part] |= getattr(message, part)

        run_job(job, keep)
        return found

    return make


def test_a_run_on_a_gpu(nvidia: NvidiaMachine, on_gpu: Any) -> None:
    me = os.getpid()
    nvidia.nvml(Card(3, UUID, samples=[(me, 90), (me + 10**8, 50)], pids=[me], events=4))
    found = on_gpu("mode=throughput", "measure.seconds=0.2")
    columns, details = found["columns"], found["details"]
    assert columns["device"] == "cuda:0"
    assert columns["energy_joules"] == pytest.approx(WATTS * columns["train_seconds"], rel=0.3)
    assert details["energy"]["meter"] == "NVML"
    assert (columns["contended"], details["gpu"]["others_share"]) == (True, 0.5)
    assert [state["clock_event_reasons"] for state in details["gpu_state"].values()] == [["sw_power_cap"]] * 2


def test_a_run_on_a_gpu_without_nvml_says_why_it_knows_nothing(on_gpu: Any) -> None:
    found = on_gpu("train.epochs=1")
    columns, details = found["columns"], found["details"]
    assert [columns[name] for name in ("energy_joules", "joules_per_1000_sequences", "contended")] == [None] * 3
    reasons = {
        details["energy"]["reason"],
        *details["gpu"]["not_told"].values(),
        *(state["reason"] for state in details["gpu_state"].values()),
    }
    assert len(reasons) == 1
    assert reasons.pop().startswith("NVML: nvidia-ml-py is not installed; install it: pip install ")
