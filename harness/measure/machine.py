"""This machine: processor, cores, versions, load. Imports no framework."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.measure.quota import cpu_quota_entry

PROJECT = Path(__file__).parents[2]
HARNESS_VERSION = "0.7.0"
PACKAGES = ("numpy", "scipy", "hydra-core", "pandas", "safetensors", "threadpoolctl")  # used by every run


@cache
def cpu_name() -> str:
    """The processor's name, from the system."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


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


@cache
def git_revision() -> str | None:
    """The commit of this checkout, with `+` where files differ from it; None outside a checkout."""
    if not (PROJECT / ".git").exists():
        return None
    options = ["--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        status = subprocess.run(
            ["git", "--no-optional-locks", "status", *options],  # `describe --dirty` would write the index
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    lines = status.stdout.splitlines()
    commit = lines[0].removeprefix("# branch.oid ")
    if commit == "(initial)":
        return None
    return commit + ("+" if any(not line.startswith("#") for line in lines) else "")


def describe_environment(
    cores: tuple[int, ...], gpu: str | None, backend_packages: Iterable[str]
) -> dict[str, Any]:
    """The `environment` of a record: the machine, what the run holds of it, and the software versions."""
    return {
        "machine": machine_info(),
        "versions": all_versions(backend_packages),
        "git_revision": git_revision(),
        "load_average_before": load_average(),
        "cores": list(cores),
        "gpu": gpu,
        **cpu_quota_entry(),
    }
