"""What the NVIDIA driver says of its GPUs, by its management library (NVML). The only module that imports
pynvml, of the package nvidia-ml-py.

Units and meanings: https://docs.nvidia.com/deploy/nvml-api. A MIG instance has a UUID, a name and processes
of its own; clocks, temperature, power and energy are those of its card.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.errors import Unavailable

INSTALL = "pip install -c constraints.txt nvidia-ml-py"  # the extra `gpu`
CLOCK_EVENTS = (  # why clocks are what they are, by bit, as nvidia-smi names them
    *("gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost"),
    *("sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "display_clock_setting"),
)


@dataclass(frozen=True)
class Card:
    """A GPU: the minor number of its device file, its UUID and its product's name; its MIG instances, each
    UUID with its name, None where MIG is off."""

    minor: str
    uuid: str
    model: str
    instances: Mapping[str, str] | None


def library() -> Any:
    """The module pynvml, initialised; raises Unavailable where it is missing or finds no driver."""
    try:
        import pynvml
    except ImportError as error:
        raise Unavailable(f"NVML: nvidia-ml-py is not installed; install it: {INSTALL}") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise Unavailable(f"NVML: {error}") from error
    return pynvml


def cards() -> list[Card]:
    """The GPUs that this process may ask about, in the order of their PCI addresses; raises Unavailable."""
    nvml = library()
    found = []
    for index in range(_answer(nvml, nvml.nvmlDeviceGetCount)):
        with suppress(nvml.NVMLError):  # a GPU that is lost, or that this process may not use
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            minor, uuid = nvml.nvmlDeviceGetMinorNumber(handle), nvml.nvmlDeviceGetUUID(handle)
            found.append(Card(str(minor), uuid, nvml.nvmlDeviceGetName(handle), _instances(nvml, handle)))
    return found


def driver_version() -> str:
    """The version of the driver; raises Unavailable."""
    nvml = library()
    return str(_answer(nvml, nvml.nvmlSystemGetDriverVersion))


def _instances(nvml: Any, handle: Any) -> dict[str, str] | None:
    try:
        mode, _ = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:  # a GPU that cannot be split
        return None
    if mode != nvml.NVML_DEVICE_MIG_ENABLE:
        return None
    instances = {}
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with suppress(nvml.NVMLError):  # no instance has this number, or it is not for this process
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            instances[nvml.nvmlDeviceGetUUID(instance)] = nvml.nvmlDeviceGetName(instance)
    return instances


def _answer(nvml: Any, question: Callable[..., Any], *about: Any) -> Any:
    try:
        return question(*about)
    except nvml.NVMLError as error:
        raise Unavailable(f"NVML: {question.__name__}: {error}") from error


class Device:
    """A GPU or a MIG instance. What is asked raises Unavailable where NVML does not tell it."""

    def __init__(self, name: str) -> None:
        """`name` is the whole UUID; raises Unavailable for another name and for a GPU that NVML does not
        know."""
        self.nvml = library()
        if not name.startswith(("GPU-", "MIG-")):
            raise Unavailable(f"NVML: the UUID of GPU {name} is not known")
        self.is_mig = name.startswith("MIG-")
        self.handle = self._ask(self.nvml.nvmlDeviceGetHandleByUUID, name)
        self.card = self.handle
        if self.is_mig:
            self.card = self._ask(self.nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, self.handle)

    def description(self) -> dict[str, Any]:
        """What stays as it is: name, driver, power limits in W, highest clocks in MHz, the card of a MIG
        instance."""
        nvml, card = self.nvml, self.card
        return self._answers(
            name=lambda: nvml.nvmlDeviceGetName(self.handle),
            card=lambda: nvml.nvmlDeviceGetName(card),
            driver=nvml.nvmlSystemGetDriverVersion,
            power_limit_watts=lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1000,
            default_power_limit_watts=lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(card) / 1000,
            highest_sm_clock_mhz=lambda: nvml.nvmlDeviceGetMaxClockInfo(card, nvml.NVML_CLOCK_SM),
            highest_memory_clock_mhz=lambda: nvml.nvmlDeviceGetMaxClockInfo(card, nvml.NVML_CLOCK_MEM),
        )

    def state(self) -> dict[str, Any]:
        """What changes: clocks in MHz and the reasons for them, temperature in °C, power in W."""
        nvml, card = self.nvml, self.card
        return self._answers(
            sm_clock_mhz=lambda: nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM),
            memory_clock_mhz=lambda: nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_MEM),
            clock_event_reasons=lambda: _clock_events(nvml.nvmlDeviceGetCurrentClocksEventReasons(card)),
            temperature_celsius=lambda: nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU),
            power_watts=lambda: nvml.nvmlDeviceGetPowerUsage(card) / 1000,
        )

    def joules(self) -> float:
        """The energy that the whole card has consumed since its driver was loaded."""
        return float(self._ask(self.nvml.nvmlDeviceGetTotalEnergyConsumption, self.card)) / 1000

    def utilisation(self) -> float:
        """The share of the last sample period (1/6 to 1 s) in which any process computed; not told of MIG
        instances."""
        return float(self._ask(self.nvml.nvmlDeviceGetUtilizationRates, self.handle).gpu) / 100

    def processes(self) -> set[int]:
        """The numbers of the processes that can compute on it; in a container they may be those that the
        processes have outside, or none."""
        return {each.pid for each in self._ask(self.nvml.nvmlDeviceGetComputeRunningProcesses, self.handle)}

    def utilisation_by_process(self, since: float) -> dict[int, float]:
        """The share of the multiprocessors' time that each process has used since a time (seconds since
        1970), as far as the driver's buffer goes back; the numbers as in `processes`."""
        samples = self._ask(self.nvml.nvmlDeviceGetProcessUtilization, self.handle, int(since * 1e6))
        percents: dict[int, list[int]] = defaultdict(list)
        for sample in samples:
            if sample.pid and sample.smUtil <= 100:  # the driver leaves entries of its buffer unset
                percents[sample.pid].append(sample.smUtil)
        return {pid: sum(each) / len(each) / 100 for pid, each in percents.items()}

    def _ask(self, question: Callable[..., Any], *about: Any) -> Any:
        return _answer(self.nvml, question, *about)

    def _answers(self, **questions: Callable[[], Any]) -> dict[str, Any]:
        """The answer to each question; None for what NVML does not tell, with the reasons in `not_told`."""
        answers: dict[str, Any] = {}
        reasons = {}
        for name, question in questions.items():
            try:
                answers[name] = question()
            except self.nvml.NVMLError as error:
                answers[name], reasons[name] = None, str(error)
        return answers | ({"not_told": reasons} if reasons else {})


def _clock_events(mask: int) -> list[str]:
    named = dict(enumerate(CLOCK_EVENTS))
    return [named.get(bit, f"bit {bit}") for bit in range(mask.bit_length()) if mask >> bit & 1]
