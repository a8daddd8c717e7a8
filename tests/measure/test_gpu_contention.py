"""Whether others computed on a run's GPU, told by a driver that may not know who is who."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.measure import gpu_contention
from harness.measure.contention import Contention, ContentionMonitor
from harness.measure.gpu_contention import GpuContention, GpuMonitor
from harness.measure.machine import cores
from tests.support.nvidia import Card, Instance, NvidiaMachine

UUID = "GPU-aa11-1"
ME, OTHER = os.getpid(), 999_999_999
HIDDEN = "the driver does not list this process"
QUIET = GpuContention(0.0, 0.0, 0.0, 0)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_contention, "FADE_SECONDS", 0.2)
    monkeypatch.setattr(gpu_contention, "PAUSE_SECONDS", 0.001)


def watched(nvidia: NvidiaMachine, card: Card) -> GpuContention:
    nvidia.nvml(card)
    return GpuMonitor(card.uuid).result(ended=True)


def test_a_gpu_of_its_own(nvidia: NvidiaMachine) -> None:
    found = watched(nvidia, Card(0, UUID, samples=[(ME, 97)], pids=[ME]))
    assert found == QUIET
    assert found.contended is False


def test_what_a_run_did_itself_fades(nvidia: NvidiaMachine) -> None:
    found = watched(nvidia, Card(0, UUID, busy=[0, 98, 98, 40, 0, 77]))
    assert (found.utilisation_before, found.utilisation_after) == (0.0, 0.0)
    assert found.contended is False


def test_processes_are_asked_for_while_the_run_is_among_them(
    nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its own work has left the utilisation, it has left the driver's samples of processes, too."""
    card = Card(0, UUID, busy=[0, 98, 98, 0])
    samples = [SimpleNamespace(pid=ME, smUtil=90), SimpleNamespace(pid=OTHER, smUtil=40)]
    monkeypatch.setattr(
        nvidia.nvml(card),
        "nvmlDeviceGetProcessUtilization",
        lambda card, since: samples if len(card.busy) > 1 else [],
    )
    found = GpuMonitor(UUID).result(ended=True)
    assert (found.utilisation_after, found.others_share) == (0.0, 0.4)


@pytest.mark.parametrize("busy", [[60] * 500 + [0], [0, 60]])
def test_others_that_compute_at_either_end(nvidia: NvidiaMachine, busy: list[int]) -> None:
    """Also where the driver hides processes, as in a container."""
    assert watched(nvidia, Card(0, UUID, busy=busy)).contended is True


@pytest.mark.parametrize(("percent", "contended"), [(3, False), (40, True)])
def test_others_that_compute_in_between(nvidia: NvidiaMachine, percent: int, contended: bool) -> None:
    card = Card(0, UUID, samples=[(ME, 50), (OTHER, percent)], pids=[ME, OTHER])
    found = watched(nvidia, card)
    assert (found.others_share, found.other_processes) == (percent / 100, 1)
    assert found.contended is contended


def test_a_process_that_only_holds_memory_does_not_count(nvidia: NvidiaMachine) -> None:
    found = watched(nvidia, Card(0, UUID, samples=[(ME, 90)], pids=[ME, OTHER]))
    assert (found.other_processes, found.contended) == (1, False)


def test_numbers_of_another_namespace_are_not_taken_for_others(nvidia: NvidiaMachine) -> None:
    """The run itself has another number there."""
    found = watched(nvidia, Card(0, UUID, samples=[(OTHER, 90)], pids=[OTHER]))
    assert (found.others_share, found.other_processes) == (None, None)
    assert found.not_told == {"others_share": HIDDEN, "other_processes": HIDDEN}
    assert found.contended is False  # by both ends


def test_a_mig_instance_tells_nothing(nvidia: NvidiaMachine) -> None:
    nvidia.nvml(Card(0, UUID, instances=[Instance("MIG-1a", "part")]))
    found = GpuMonitor("MIG-1a").result(ended=True)
    assert found.contended is None
    assert found.not_told["utilisation_before"].endswith("nvmlDeviceGetUtilizationRates: Not Supported")
    assert set(found.not_told) == {
        "utilisation_before",
        "utilisation_after",
        "others_share",
        "other_processes",
    }


def test_without_nvml_every_figure_has_the_reason(nvidia: NvidiaMachine) -> None:
    monitor = GpuMonitor(UUID)
    found = monitor.result(ended=True)
    assert found.contended is None
    reasons = {*found.not_told.values(), *(state["reason"] for state in monitor.states.values())}
    assert [reason.split(";")[0] for reason in reasons] == ["NVML: nvidia-ml-py is not installed"]


def test_while_a_run_goes_on_nothing_is_waited_for(nvidia: NvidiaMachine) -> None:
    card = Card(0, UUID, busy=[0, 98])
    nvidia.nvml(card)
    monitor = GpuMonitor(UUID)
    found = monitor.result(ended=False)
    assert (found.utilisation_before, found.utilisation_after) == (0.0, None)
    assert "utilisation_after" not in found.not_told
    assert list(monitor.states) == ["before"]


def test_both_ends_have_clocks_and_temperature(nvidia: NvidiaMachine) -> None:
    nvidia.nvml(Card(0, UUID, events=1))
    monitor = GpuMonitor(UUID)
    monitor.result(ended=True)
    assert [state["clock_event_reasons"] for state in monitor.states.values()] == [["gpu_idle"]] * 2
    assert [state["temperature_celsius"] for state in monitor.states.values()] == [41, 41]


@pytest.mark.parametrize(
    ("others", "gpu", "verdict"),
    [
        (0.0, QUIET, False),
        (0.5, QUIET, True),
        (0.0, replace(QUIET, utilisation_after=0.5), True),
        (0.0, GpuContention(None, None, None, None), None),
        (0.5, GpuContention(None, None, None, None), True),
        (0.0, None, False),
    ],
)
def test_cores_and_gpu_decide_together(
    others: float, gpu: GpuContention | None, verdict: bool | None
) -> None:
    contention = Contention(others, 0.0, 0.0, gpu=gpu)
    assert contention.contended is verdict
    assert ("gpu" in contention.to_mapping()) is (gpu is not None)


def test_the_monitor_of_the_cores_asks_that_of_the_gpu(nvidia: NvidiaMachine) -> None:
    nvidia.nvml(Card(0, UUID, busy=[0, 90]))
    found = ContentionMonitor(cores(), gpu=GpuMonitor(UUID)).result(ended=True)
    assert found.gpu is not None
    assert (found.gpu.utilisation_after, found.contended) == (0.9, True)
