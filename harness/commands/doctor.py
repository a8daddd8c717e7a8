"""What works on this machine: backends, devices, BLAS, data, results. For `python -m harness doctor`."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from rich.console import Console
from rich.table import Table
from rich.text import Text
from threadpoolctl import threadpool_info

from harness import data
from harness.config import catalogue
from harness.errors import HarnessError
from harness.launcher.lease import directory as lease_directory
from harness.measure import machine
from harness.measure.devices import gpus
from harness.store import attempts

PROBE = """
import json, sys
from importlib import import_module
module = import_module(f"harness.backends.{sys.argv[1]}.backend")
print(json.dumps(module.devices()))
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `needed` ones decide doctor's exit status."""

    subject: str
    good: bool
    found: str
    advice: str = ""
    needed: bool = False


def examine() -> list[Finding]:
    """Everything that can stand in a run's way, each looked at for real."""
    return [
        *_machine(),
        *(
            _backend(name, engine)
            for name in catalogue.backend_names()
            for engine in catalogue.engines(name) or (None,)
        ),
        *(_dataset(name) for name in data.DATASETS),
        _results(),
    ]


def _machine() -> list[Finding]:
    cores = machine.cores()
    blas = ", ".join(
        f"{info['internal_api']} {info['version']}"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    )
    load = machine.load_average()
    busy = load > 0.5 * len(cores)
    return [
        Finding("processor", True, f"{machine.cpu_name()}, {len(cores)} cores to use"),
        Finding("GPUs", True, ", ".join(f"cuda:{n}" for n in range(len(gpus()))) or "no CUDA device"),
        Finding(
            "NumPy's BLAS", bool(blas), blas or "none found", "" if blas else "install NumPy from a wheel"
        ),
        Finding(
            "load",
            not busy,
            f"{load:.2f} processes wanted a core in the last minute",
            "timings suffer: let other work finish first" if busy else "",
        ),
        _leases(),
    ]


def _leases() -> Finding:
    try:
        return Finding("core leases", True, str(lease_directory()))
    except OSError as error:
        return Finding(
            "core leases", False, str(error), "set HARNESS_LEASES to a directory that can be written"
        )


def _backend(name: str, engine: str | None) -> Finding:
    """Imports a backend in a process of its own, as a run would."""
    default = engine is None or engine == catalogue.engines(name)[0]
    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | ({"KERAS_BACKEND": engine} if engine else {})
    subject = f"backend={name}" + (f" backend.engine={engine}" if engine else "")
    advice = catalogue.install_command(catalogue.packages(name, engine))
    if engine and find_spec(engine) is None:
        return Finding(subject, False, f"{engine} is not installed", advice, needed=default)
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE, name], env=env, capture_output=True, text=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        return Finding(subject, False, "did not import within 120 s", advice, needed=default)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"ended with status {done.returncode}"]
        return Finding(subject, False, said[0], advice, needed=default)
    devices: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return Finding(subject, True, ", ".join(f"{d} ({label})" for d, label in devices.items()), needed=default)


def _dataset(name: str) -> Finding:
    root = data.default_root()
    try:
        data.load(name, root)
    except HarnessError as error:
        first = str(error).splitlines()[0]
        return Finding(
            f"data={name}", False, first, "the first run downloads it, or see the message of a run"
        )
    return Finding(f"data={name}", True, "embedded" if name == "digits" else f"verified, in {root / name}")


def _results() -> Finding:
    try:
        attempts.check_writable("results")
    except HarnessError as error:
        return Finding("results", False, str(error))
    return Finding("results", True, "can be written")


def show(findings: list[Finding], console: Console) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        found = Text(finding.found)
        if finding.advice:
            found.append(f"\n→ {finding.advice}")
        table.add_row("ok" if finding.good else "--", Text(finding.subject), found)
    console.print(table)
