"""The cores and GPUs that a run may use, found without importing a framework."""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Unavailable
from harness.measure import nvml
from harness.measure.machine import cores
from harness.measure.quota import quotas

DEVICE_FILES = Path("/dev")
DRIVER_GPUS = Path("/proc/driver/nvidia/gpus")  # a directory for each GPU, named by its PCI address
DRIVER_VERSION = Path("/proc/driver/nvidia/version")
UUID_PREFIXES = ("GPU-", "MIG-")  # what they begin with


@dataclass(frozen=True)
class Gpu:
    """A CUDA device: a GPU, or an instance of one that MIG has split.

    `name` is what CUDA_VISIBLE_DEVICES calls it: its UUID, or where the driver does not tell that, what this
    process's own CUDA_VISIBLE_DEVICES has. `model` is the product, "" where it is not told. `lock` is the
    same in all containers: a GPU's minor number, which is known before its UUID is, or an instance's UUID.
    """

    name: str
    model: str
    lock: str


@dataclass(frozen=True)
class _Installed:
    """A GPU whose device file this process may open. A UUID that is not told is "", and so is a model;
    `instances` has the name of each MIG instance by UUID, None without MIG."""

    minor: str
    uuid: str
    model: str
    instances: Mapping[str, str] | None

    def devices(self, entry: str) -> list[Gpu]:
        """What CUDA can compute on, for an entry of CUDA_VISIBLE_DEVICES that names this GPU."""
        if self.instances is None:
            return [Gpu(self.uuid or entry.strip(), self.model, self.minor)]
        return [Gpu(uuid, model, uuid) for uuid, model in self.instances.items()]


def gpus() -> list[str]:
    """The names of the CUDA devices that this process may use."""
    return [gpu.name for gpu in visible_gpus()]


def visible_gpus() -> list[Gpu]:
    """The CUDA devices that this process may use, in the order in which it sees them.

    CUDA's rules are followed. All entries of CUDA_VISIBLE_DEVICES are numbers, UUIDs or MIG instances, as the
    first one is; an entry that is no such GPU hides itself and all after it; a GPU that is named twice hides
    all. See "CUDA environment variables" in NVIDIA's programming guide. A GPU that MIG has split stands for
    its instances: CUDA computes on one of them at a time.
    """
    installed = _installed()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(len(installed)))))
    prefix = visible[:4] if visible.startswith(UUID_PREFIXES) else ""
    found: dict[str, Gpu] = {}
    for entry in visible.split(","):
        named = _named(entry, prefix, installed)
        if named is None:
            break
        if any(gpu.lock in found for gpu in named):
            return []
        found |= {gpu.lock: gpu for gpu in named}
    return list(found.values())


def _installed() -> list[_Installed]:
    """The GPUs whose device files this process may open.

    The order is that of the PCI addresses, in which CUDA numbers GPUs if CUDA_DEVICE_ORDER=PCI_BUS_ID. Where
    neither the driver's files nor NVML tell it, it is that of the minor numbers.
    """
    files = [path for path in DEVICE_FILES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    usable = [path.name.removeprefix("nvidia") for path in files if os.access(path, os.R_OK | os.W_OK)]
    if not usable:
        return []
    told = {}
    for path in sorted(DRIVER_GPUS.glob("*/information")):
        lines = (line.partition(":") for line in path.read_text().splitlines())
        facts = {name: value.strip() for name, _, value in lines}
        uuid = facts.get("GPU UUID", "")
        told[facts.get("Device Minor", "")] = "" if "?" in uuid else uuid, facts.get("Model", "")
    try:
        cards = {card.minor: card for card in nvml.cards()}
    except Unavailable:  # `doctor` says so, and so does the record of a run
        cards = {}
    # a control group may keep a GPU from being used although its file could be opened
    usable = [minor for minor in usable if minor in cards] or usable
    order = [minor for minor in told or cards if minor in usable]
    found = []
    for minor in (*order, *sorted(set(usable) - set(order), key=int)):
        uuid, model = told.get(minor, ("", ""))
        card = cards.get(minor, nvml.Card(minor, "", "", None))
        found.append(_Installed(minor, uuid or card.uuid, model or card.model, card.instances))
    return found


def _named(entry: str, prefix: str, installed: list[_Installed]) -> list[Gpu] | None:
    return _by_uuid(entry, prefix, installed) if prefix else _by_number(entry, installed)


def _by_number(entry: str, installed: list[_Installed]) -> list[Gpu] | None:
    match = re.match(r"\s*[+-]?\d+", entry)  # CUDA ignores what follows the digits
    number = int(match[0]) if match else -1
    return installed[number].devices(entry) if 0 <= number < len(installed) else None


def _by_uuid(entry: str, prefix: str, installed: list[_Installed]) -> list[Gpu] | None:
    """A UUID may be shortened as long as it fits only one GPU."""
    if not entry.startswith(prefix) or not installed:
        return None
    if prefix == "MIG-":
        instances = [gpu for each in installed if each.instances for gpu in each.devices(entry)]
        fitting = [gpu for gpu in instances if gpu.name.startswith(entry)]
        return fitting if len(fitting) == 1 else [Gpu(entry, "", entry)]
    fits = [each for each in installed if each.uuid.startswith(entry)]
    hidden = [each for each in installed if not each.uuid]
    if len(fits or hidden) == 1:
        return (fits or hidden)[0].devices(entry)
    return [Gpu(entry, "", entry)] if hidden and not fits else None


def visible_gpu(name: str) -> Gpu | None:
    """The CUDA device of that name, or that had it before the driver told its UUID; None where it is gone."""
    prefix = name[:4] if name.startswith(UUID_PREFIXES) else ""
    locks = [gpu.lock for gpu in _named(name, prefix, _installed()) or []]
    return next((gpu for gpu in visible_gpus() if gpu.lock in locks), None)


def model_of(gpu: str) -> str:
    """The product's name of a CUDA device; "" where the driver does not tell it."""
    found = visible_gpu(gpu)
    return found.model if found else ""


def driver_version() -> str:
    """The version of the NVIDIA driver; "" where it is not told."""
    with suppress(OSError):
        # as in "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023"
        first = DRIVER_VERSION.read_text().partition("\n")[0]
        if told := re.search(r"\b\d+(\.\d+)+\b", first):
            return told[0]
    with suppress(Unavailable):
        return nvml.driver_version()
    return ""


def candidate_gpus(device: str, supported: tuple[str, ...]) -> list[str]:
    """The GPUs that `device` may stand for, all of the first one's model; [] for a run on the CPU. Raises
    Unavailable."""
    present = visible_gpus() if "cuda" in supported else []
    visible = [gpu.name for gpu in present]
    alike = [gpu.name for gpu in present if gpu.model == present[0].model]
    if device == "auto":
        return alike
    if device == "mps" and sys.platform != "darwin":
        raise Unavailable("device=mps: this system has none; available: " + _available(visible))
    if not device.startswith("cuda"):
        return []
    number = device.partition(":")[2]
    if not visible or (number and int(number) >= len(visible)):
        raise Unavailable(f"device={device}: no such CUDA device; available: {_available(visible)}")
    return [visible[int(number)]] if number else alike


def cuda_device(gpu: str | None) -> str | None:
    """The `device` of a GPU, numbered among all visible ones: "cuda:0", "cuda:1", …; None for None."""
    if gpu is None:
        return None
    found = visible_gpu(gpu)
    return f"cuda:{gpus().index(found.name if found else gpu)}"


def core_count() -> int:
    """How many cores this process may keep busy, by its affinity and its CPU quota."""
    return min([len(cores()), *(quota.whole_cores for quota in quotas())])


def thread_count(threads: int | None, *, gpu: bool) -> int:
    """The cores of a run: `threads`, or by default all cores, shared equally among the GPUs of a GPU run.

    Raises Unavailable for more cores than this process may use.
    """
    available = core_count()
    if threads is None:
        return max(1, available // max(1, len(gpus()))) if gpu else available
    if threads > available:
        limits = [quota for quota in quotas() if quota.whole_cores == available < len(cores())]
        reason = f": {limits[0].group} has a CPU quota of {limits[0].cores:g}" if limits else ""
        raise Unavailable(
            f"threads={threads}: this process may use {available} of the {os.cpu_count()} cores{reason}"
        )
    return threads


def _available(visible: list[str]) -> str:
    return ", ".join(["cpu", *(f"cuda:{n}" for n in range(len(visible)))])
