"""This machine: processor, cores, versions, load. Imports no framework."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "tensorflow",
    "keras",
    "jax",
    "jaxlib",
    "hydra-core",
    "pandas",
    "safetensors",
    "threadpoolctl",
)


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


def versions() -> dict[str, str]:
    """Installed versions by distribution name, read from their metadata without importing them."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


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


def describe_environment(cores: tuple[int, ...], gpu: str | None) -> dict[str, Any]:
    """The `environment` of a record: the machine, what the run holds of it, and the software versions."""
    return {
        "machine": machine_info(),
        "versions": versions(),
        "git_revision": git_revision(),
        "load_average_before": load_average(),
        "cores": list(cores),
        "gpu": gpu,
    }
