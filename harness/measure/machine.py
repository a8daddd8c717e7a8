"""This machine: processor, cores, versions, load. Imports no framework."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.measure import copied_revision
from harness.measure.quota import cpu_quota_entry

PROJECT = Path(__file__).parents[2]
HARNESS_VERSION = "0.8.0"
PACKAGES = ("numpy", "scipy", "hydra-core", "pandas", "safetensors", "threadpoolctl")  # used by every run


CPUINFO = Path("/proc/cpuinfo")
# the fields of CPUINFO that tell processors apart where no name is given, as on ARM, POWER and RISC-V
CPU_FIELDS = (
    *("hardware", "model", "machine", "cpu", "cpu model", "vendor_id", "uarch"),
    *("cpu implementer", "cpu part", "cpu variant", "cpu revision", "revision"),
    *("mvendorid", "marchid", "mimpid"),
)
# systems with one kind of core, and different processors around it
SYSTEM_FILES = ("/sys/devices/soc0/soc_id", "/proc/device-tree/model", "/sys/class/dmi/id/product_name")


@cache
def cpu_name() -> str:
    """The processor's name, from the system; where it has none, everything that tells it from others."""
    fields: dict[str, dict[str, None]] = {}
    for line in _read(CPUINFO).splitlines():
        field, _, value = line.partition(":")
        fields.setdefault(field.strip().lower(), {})[value.strip()] = None
    if names := fields.get("model name"):
        return next(iter(names))
    if sys.platform == "darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.machine()
    parts = [f"{field} {'/'.join(fields[field])}" for field in CPU_FIELDS if field in fields]
    parts += [text for path in SYSTEM_FILES if (text := _read(Path(path)).strip("\0\n "))]
    return ", ".join([platform.processor() or platform.machine(), *parts])


def _read(path: Path) -> str:
    """A file of the system; empty where it is not there or not for this user."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _output(command: Sequence[str], **options: Any) -> str | None:
    """What a command prints; None where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, **options)
    except (OSError, ValueError, subprocess.CalledProcessError):  # ValueError: no command can have such words
        return None
    return done.stdout.strip()


def cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def load_average() -> float:
    """The number of processes that wanted a core, averaged over the last minute."""
    return os.getloadavg()[0]


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions by distribution name, read from their metadata; those not installed are left out."""
    installed = {}
    for package in packages:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def all_versions(backend_packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python, of the packages that every run uses, and of the backends' packages."""
    names = dict.fromkeys((*PACKAGES, *backend_packages))
    return {"python": platform.python_version(), **versions(names)}


def machine_info() -> dict[str, str | int]:
    """The facts about this machine on which timings depend."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "python": sys.version.split()[0],
    }


def git(*arguments: str) -> str | None:
    """What git says about this checkout, whatever repository the environment names; None outside a checkout
    and where git fails."""
    if not (PROJECT / ".git").exists():
        return None
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")  # GIT_DIR, GIT_INDEX_FILE, …
    }
    return _output(["git", *arguments], cwd=PROJECT, env=env)


@cache
def git_revision() -> str | None:
    """The commit of this checkout, or of a copy that came with a list of its files, with `+` where files
    differ from it; None outside both."""
    options = ["--porcelain=v2", "--branch", "--untracked-files=no"]
    status = git("--no-optional-locks", "status", *options)  # `describe --dirty` would write the index
    if not status:
        return copied_revision.revision(PROJECT)
    lines = status.splitlines()
    commit = lines[0].removeprefix("# branch.oid ")
    if commit == "(initial)":
        return None
    return commit + ("+" if any(not line.startswith("#") for line in lines) else "")


def describe_environment(
    cores: tuple[int, ...], gpu: str | None, backend_packages: Iterable[str], variables: Mapping[str, str]
) -> dict[str, Any]:
    """The `environment` of a record: the machine, what the run holds of it, the software versions, and the
    environment variables that matter, if there are any."""
    environment = {
        "machine": machine_info(),
        "versions": all_versions(backend_packages),
        "git_revision": git_revision(),
        "load_average_before": load_average(),
        "cores": list(cores),
        "gpu": gpu,
        **cpu_quota_entry(),
    }
    return environment | ({"variables": dict(variables)} if variables else {})
