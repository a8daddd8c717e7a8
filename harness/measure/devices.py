"""The cores and GPUs that a run may use, found without importing a framework."""

import os
import re
import sys
from pathlib import Path

from harness.errors import Unavailable
from harness.measure.machine import cores
from harness.measure.quota import quotas

DEVICE_FILES = Path("/dev")
DRIVER_GPUS = Path("/proc/driver/nvidia/gpus")  # a directory for each GPU, named by its PCI address


def gpus() -> list[str]:
    """The CUDA devices that this process may use, by their number or UUID in CUDA_VISIBLE_DEVICES."""
    return list(physical_gpus())


def physical_gpus() -> dict[str, str]:
    """The names of `gpus()`, each with the GPU that it stands for: the minor number of its device file, which
    is the same in all containers. A MIG instance stands for itself, and so does a UUID that the driver hides.

    CUDA's rules are followed. All entries are numbers, UUIDs or MIG instances, as the first one is; an entry
    that is no such GPU hides itself and all after it; a GPU that is named twice hides all. See "CUDA
    environment variables" in NVIDIA's programming guide.
    """
    uuids = _installed()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(str(number) for number in range(len(uuids))))
    prefix = visible[:4] if visible.startswith(("GPU-", "MIG-")) else ""
    found: dict[str, str] = {}
    for entry in visible.split(","):
        gpu = _by_uuid(entry, prefix, uuids) if prefix else _by_number(entry, list(uuids))
        if gpu is None:
            break
        if gpu in found.values():
            return {}
        found[entry.strip()] = gpu
    return found


def _installed() -> dict[str, str]:
    """The minor numbers of the GPUs whose device files this process may open, each with the UUID.

    The order is that of the PCI addresses, in which CUDA numbers GPUs if CUDA_DEVICE_ORDER=PCI_BUS_ID. Where
    the driver's own files are missing, it is that of the minor numbers. A UUID that the driver hides is "".
    """
    told = {}
    for path in DRIVER_GPUS.glob("*/information"):
        lines = (line.partition(":") for line in path.read_text().splitlines())
        facts = {name: value.strip() for name, _, value in lines}
        uuid = facts.get("GPU UUID", "")
        told[facts.get("Device Minor")] = path.parent.name, "" if "?" in uuid else uuid
    files = [path for path in DEVICE_FILES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    usable = [path.name.removeprefix("nvidia") for path in files if os.access(path, os.R_OK | os.W_OK)]
    minors = sorted(usable, key=lambda minor: (told.get(minor, ("", ""))[0], int(minor)))
    return {minor: told.get(minor, ("", ""))[1] for minor in minors}


def _by_number(entry: str, minors: list[str]) -> str | None:
    match = re.match(r"\s*[+-]?\d+", entry)  # CUDA ignores what follows the digits
    number = int(match[0]) if match else -1
    return minors[number] if 0 <= number < len(minors) else None


def _by_uuid(entry: str, prefix: str, uuids: dict[str, str]) -> str | None:
    """A UUID may be shortened as long as it fits only one GPU."""
    if not entry.startswith(prefix) or not uuids:
        return None
    if prefix == "MIG-":
        return entry
    fitting = [minor for minor, uuid in uuids.items() if uuid.startswith(entry)]
    hidden = [minor for minor, uuid in uuids.items() if not uuid]
    if len(fitting or hidden) == 1:
        return (fitting or hidden)[0]
    return entry if hidden and not fitting else None


def candidate_gpus(device: str, supported: tuple[str, ...]) -> list[str]:
    """The GPUs that `device` may stand for; [] for a run on the CPU. Raises Unavailable."""
    visible = gpus() if "cuda" in supported else []
    if device == "auto":
        return visible
    if device == "mps" and sys.platform != "darwin":
        raise Unavailable("device=mps: this system has none; available: " + _available(visible))
    if not device.startswith("cuda"):
        return []
    number = device.partition(":")[2]
    if not visible or (number and int(number) >= len(visible)):
        raise Unavailable(f"device={device}: no such CUDA device; available: {_available(visible)}")
    return [visible[int(number)]] if number else visible


def cuda_device(gpu: str | None) -> str | None:
    """The `device` of a GPU, numbered among all visible ones: "cuda:0", "cuda:1", …; None for None."""
    return None if gpu is None else f"cuda:{gpus().index(gpu)}"


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
