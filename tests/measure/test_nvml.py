"""What NVML is asked, and what becomes of questions that it does not answer."""

import pytest

from harness.errors import Unavailable
from harness.measure import nvml
from harness.measure.nvml import Device
from tests.support.nvidia import Card, FakeNvml, Instance, NvidiaMachine

UUID = "GPU-aa11-1"
PART = Instance("MIG-1a", "NVIDIA H200 MIG 1g.18gb")


def test_without_the_package_and_without_a_driver(nvidia: NvidiaMachine) -> None:
    with pytest.raises(Unavailable, match=r"^NVML: nvidia-ml-py is not installed; install it: pip install "):
        nvml.cards()
    nvidia.nvml(problem="Driver Not Loaded")
    with pytest.raises(Unavailable, match=r"^NVML: Driver Not Loaded$"):
        nvml.cards()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("0", "the UUID of GPU 0 is not known"), ("GPU-bb", "nvmlDeviceGetHandleByUUID: Not Found")],
)
def test_a_gpu_that_nvml_does_not_know(nvidia: NvidiaMachine, name: str, problem: str) -> None:
    nvidia.nvml(Card(0, UUID))
    with pytest.raises(Unavailable, match=rf"^NVML: {problem}$"):
        Device(name)


def test_what_a_gpu_is(nvidia: NvidiaMachine) -> None:
    nvidia.nvml(Card(0, UUID))
    assert Device(UUID).description() == {
        "name": "NVIDIA H200",
        "card": "NVIDIA H200",
        "driver": "580.65.06",
        "power_limit_watts": 600.0,
        "default_power_limit_watts": 700.0,
        "highest_sm_clock_mhz": 1981,
        "highest_memory_clock_mhz": 3202,
    }


def test_how_a_gpu_is_doing_and_why(nvidia: NvidiaMachine) -> None:
    nvidia.nvml(Card(0, UUID, events=0b10_0010_0100))
    assert Device(UUID).state() == {
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 3201,
        "clock_event_reasons": ["sw_power_cap", "sw_thermal_slowdown", "bit 9"],
        "temperature_celsius": 41,
        "power_watts": 200.0,
    }


def test_what_is_not_told_has_a_reason(nvidia: NvidiaMachine) -> None:
    nvidia.nvml(Card(0, UUID, missing=["nvmlDeviceGetTemperature"]))
    state = Device(UUID).state()
    assert state["temperature_celsius"] is None
    assert state["not_told"] == {"temperature_celsius": "Not Supported"}
    assert state["power_watts"] == 200.0


def test_a_mig_instance_has_the_clocks_and_the_power_of_its_card(nvidia: NvidiaMachine) -> None:
    nvidia.nvml(Card(0, UUID, instances=[PART]))
    part = Device(PART.uuid)
    found = part.description()
    assert (found["name"], found["card"]) == (PART.name, "NVIDIA H200")
    assert found["power_limit_watts"] == 600.0
    assert part.state()["sm_clock_mhz"] == 1980
    with pytest.raises(Unavailable, match=r"^NVML: nvmlDeviceGetUtilizationRates: Not Supported$"):
        part.utilisation()


def test_unset_entries_of_the_driver_s_buffer_do_not_count(nvidia: NvidiaMachine) -> None:
    nvidia.nvml(Card(0, UUID, samples=[(7, 30), (0, 80), (8, 4_294_967_295), (7, 50)]))
    assert Device(UUID).utilisation_by_process(since=1.0) == {7: 0.4}


def test_every_question_is_one_of_the_library_s() -> None:
    """The module that stands in for it invents none."""
    library = pytest.importorskip("pynvml", reason="nvidia-ml-py is missing")
    assert [name for name in vars(FakeNvml) if name[:2].lower() == "nv" and not hasattr(library, name)] == []
    assert issubclass(library.NVMLError, Exception)
