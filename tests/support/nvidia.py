"""A machine with NVIDIA GPUs that is none: device files, the driver's files, and a module `pynvml`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.measure import devices

INFORMATION = "Model: \t\t {}\nIRQ:\nGPU UUID: \t {}\nBus Location: \t {}\nDevice Minor: \t {}\n"
VERSION = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (user@host)\n"
    "GCC version:  gcc version 12.2.0 (GCC)\n"
)
WATTS = 200.0


class NVMLError(Exception):
    """What every question raises that is not answered."""


NOT_SUPPORTED = NVMLError("Not Supported")


@dataclass
class Instance:
    """A MIG instance."""

    uuid: str
    name: str


@dataclass
class Card:
    """A GPU as NVML describes it. `busy` are the percents that it says one after another, the last for ever;
    `samples` the processes' own, as (pid, percent); `missing` the questions that it does not answer."""

    minor: int
    uuid: str
    name: str = "NVIDIA H200"
    instances: list[Instance] | None = None
    busy: list[int] = field(default_factory=lambda: [0])
    samples: list[tuple[int, int]] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)
    millijoules: int = 0
    events: int = 0
    missing: Sequence[str] = ()


class FakeNvml(ModuleType):
    """The module `pynvml` on a machine with these cards, as far as the project asks it."""

    NVMLError = NVMLError
    NVML_DEVICE_MIG_ENABLE, NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 1, 2, 0

    def __init__(self, *cards: Card, driver: str = "580.65.06", problem: str = "") -> None:
        super().__init__("pynvml")
        self.cards, self.driver, self.problem = cards, driver, problem

    def __getattribute__(self, name: str) -> Any:
        """Questions that a card does not answer raise."""
        found = super().__getattribute__(name)
        if not name.startswith("nvmlDevice"):
            return found

        def ask(*about: Any) -> Any:
            if about and isinstance(about[0], Card) and name in about[0].missing:
                raise NOT_SUPPORTED
            return found(*about)

        ask.__name__ = name
        return ask

    def nvmlInit(self) -> None:
        if self.problem:
            raise NVMLError(self.problem)

    def nvmlSystemGetDriverVersion(self) -> str:
        return self.driver

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Card | Instance:
        handles = [*self.cards, *(each for card in self.cards for each in card.instances or ())]
        for each in handles:
            if each.uuid == uuid:
                return each
        raise NVMLError("Not Found")

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, instance: Instance) -> Card:
        return next(card for card in self.cards if instance in (card.instances or ()))

    def nvmlDeviceGetMinorNumber(self, card: Card) -> int:
        return card.minor

    def nvmlDeviceGetUUID(self, device: Card | Instance) -> str:
        return device.uuid

    def nvmlDeviceGetName(self, device: Card | Instance) -> str:
        return device.name

    def nvmlDeviceGetMigMode(self, card: Card) -> list[int]:
        return [0 if card.instances is None else 1, 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, card: Card) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: Card, index: int) -> Instance:
        assert card.instances is not None
        if index >= len(card.instances):
            raise NVMLError("Not Found")
        return card.instances[index]

    def nvmlDeviceGetTotalEnergyConsumption(self, card: Card) -> int:
        return card.millijoules

    def nvmlDeviceGetUtilizationRates(self, device: Card | Instance) -> SimpleNamespace:
        if isinstance(device, Instance):
            raise NOT_SUPPORTED
        return SimpleNamespace(gpu=device.busy.pop(0) if len(device.busy) > 1 else device.busy[0])

    def nvmlDeviceGetComputeRunningProcesses(self, device: Card | Instance) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid) for pid in getattr(device, "pids", [])]

    def nvmlDeviceGetProcessUtilization(self, device: Card | Instance, since: int) -> list[SimpleNamespace]:
        assert isinstance(since, int)
        if isinstance(device, Instance):
            raise NOT_SUPPORTED
        if not device.samples:
            raise NVMLError("Not Found")
        return [SimpleNamespace(pid=pid, smUtil=percent) for pid, percent in device.samples]

    def nvmlDeviceGetClockInfo(self, card: Card, kind: int) -> int:
        return {1: 1980, 2: 3201}[kind]

    def nvmlDeviceGetMaxClockInfo(self, card: Card, kind: int) -> int:
        return {1: 1981, 2: 3202}[kind]

    def nvmlDeviceGetCurrentClocksEventReasons(self, card: Card) -> int:
        return card.events

    def nvmlDeviceGetTemperature(self, card: Card, sensor: int) -> int:
        return 41

    def nvmlDeviceGetPowerUsage(self, card: Card) -> int:
        return int(WATTS * 1000)

    def nvmlDeviceGetEnforcedPowerLimit(self, card: Card) -> int:
        return 600_000

    def nvmlDeviceGetPowerManagementDefaultLimit(self, card: Card) -> int:
        return 700_000


class NvidiaMachine:
    """Device files and files of the driver below a directory, in place of this machine's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files, self.driver, self.monkeypatch = folder / "dev", folder / "driver", monkeypatch
        self.files.mkdir()
        for name in ("nvidiactl", "nvidia-uvm", "nvidia-caps"):
            (self.files / name).touch()
        monkeypatch.setattr(devices, "DEVICE_FILES", self.files)
        monkeypatch.setattr(devices, "DRIVER_GPUS", self.driver / "gpus")
        monkeypatch.setattr(devices, "DRIVER_VERSION", self.driver / "version")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        self.nvml_is_missing()

    def install(self, *minors: int, told: dict[str, tuple[int, str]] | None = None) -> None:
        """GPUs by their minor numbers, and what the driver's files tell: addresses with minor and UUID."""
        for minor in minors:
            (self.files / f"nvidia{minor}").touch()
        for address, (minor, uuid) in (told or {}).items():
            self.tell(address, minor, uuid)

    def tell(self, address: str, minor: int, uuid: str, model: str = "NVIDIA H200") -> None:
        """What the driver's file says of a GPU, in place of what it said before."""
        folder = self.driver / "gpus" / address
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "information").write_text(INFORMATION.format(model, uuid, address, minor))

    def version(self, text: str = VERSION) -> None:
        self.driver.mkdir(exist_ok=True)
        (self.driver / "version").write_text(text)

    def nvml_is_missing(self) -> None:
        self.monkeypatch.setitem(sys.modules, "pynvml", None)

    def nvml(self, *cards: Card, **more: str) -> FakeNvml:
        """Makes NVML answer for these cards."""
        module = FakeNvml(*cards, **more)
        self.monkeypatch.setitem(sys.modules, "pynvml", module)
        return module
