"""What works on this machine: backends, devices, BLAS, data, results. For `python -m harness doctor`."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.table import Table
from rich.text import Text
from threadpoolctl import threadpool_info

from harness.config import catalogue
from harness.data.dataset import default_root, load
from harness.data.mnist import DATASETS
from harness.errors import HarnessError, Unavailable
from harness.launcher import variables
from harness.launcher.lease import directory as lease_directory
from harness.launcher.process import python_command
from harness.measure import energy, machine, nvml
from harness.measure.devices import core_count, driver_version, visible_gpus
from harness.store import attempts
from harness.text import error_line, exit_description, one_line


@dataclass(frozen=True)
class Finding:
    """What an examination found. Those that are `needed` decide doctor's exit status."""

    subject: str
    good: bool
    text: str
    advice: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Examination:
    """One thing to look at. `look` returns what it found, or raises an exception that says what is wrong."""

    subject: str
    look: Callable[[], str]
    advice: str = ""  # what to do if something is wrong
    needed: bool = False

    def finding(self) -> Finding:
        """Never raises: whatever an examination runs into is what it found."""
        try:
            return Finding(self.subject, True, self.look(), needed=self.needed)
        except (Problem, HarnessError) as error:
            text = one_line(str(error).partition("\n")[0])
        except Exception as error:  # noqa: BLE001  # one broken part must not hide the others
            text = error_line(error)
        return Finding(self.subject, False, text, self.advice, self.needed)


class Problem(Exception):
    """What is wrong, in one line."""


def examine() -> list[Finding]:
    """Looks at everything that can prevent a run."""
    return [examination.finding() for examination in _examinations()]


def _examinations() -> list[Examination]:
    return [
        Examination("processor", lambda: f"{machine.cpu_name()}, {core_count()} cores to use"),
        Examination("GPUs", _gpus, "without it, runs record neither their energy nor who else used the GPU"),
        Examination("energy of the processor", _energy, "energy_joules of runs on the CPU will be null"),
        Examination("NumPy's BLAS", _blas, "install NumPy from a wheel"),
        Examination(
            "environment variables",
            _variables,
            "unset them for figures that others can be compared with",
        ),
        Examination("load", _load, "timings suffer: let other work finish first"),
        Examination(
            "core leases",
            lambda: str(lease_directory()),
            "set HARNESS_LEASES to a directory that can be written",
        ),
        *(examination for name in catalogue.backend_names() for examination in _backend_examinations(name)),
        *(
            Examination(
                f"data={name}",
                partial(_dataset, name),
                "the first run downloads it, or see the message of a run",
            )
            for name in DATASETS
        ),
        Examination("results", _results),
    ]


def _gpus() -> str:
    """Each CUDA device: its product (of a MIG instance with the profile), its name in CUDA_VISIBLE_DEVICES,
    and whether its energy is counted."""
    found = visible_gpus()
    if not found:
        return "no CUDA device"
    names = [f"cuda:{n} {gpu.model or 'of unknown model'} ({gpu.name})" for n, gpu in enumerate(found)]
    driver = f"driver {driver_version() or 'of unknown version'}"
    try:
        nvml.library()
    except Unavailable as error:
        raise Problem("; ".join([*names, driver, str(error)])) from error
    meters = [_card_meter(gpu.name) for gpu in found]
    return "; ".join([*(f"{name}, {meter}" for name, meter in zip(names, meters, strict=True)), driver])


def _card_meter(gpu: str) -> str:
    try:
        return f"energy by {energy.CardCounter(gpu).description['meter']}"
    except Unavailable as error:
        return f"no energy: {error}"


def _energy() -> str:
    description = energy.PackageCounters().description
    return f"{description['meter']}: {', '.join(description['zones'])}"


def _blas() -> str:
    libraries = [info for info in threadpool_info() if info["user_api"] == "blas"]
    if not libraries:
        raise Problem("none found")
    return ", ".join(f"{info['internal_api']} {info['version']}" for info in libraries)


def _variables() -> str:
    names = variables.cleared()
    cleared = f"runs start without {', '.join(names)}" if names else ""
    if found := variables.recorded():
        each = ", ".join(f"{name}={value}" for name, value in found.items())
        raise Problem("; ".join(filter(None, [f"{each}: part of every run's key and record", cleared])))
    return cleared or "none that changes speed or arithmetic"


def _load() -> str:
    load = machine.load_average()
    text = f"{load:.2f} processes wanted a core in the last minute"
    if load > 0.5 * len(machine.cores()):
        raise Problem(text)
    return text


def _backend_examinations(name: str) -> Iterator[Examination]:
    """One for each engine of a backend, of which the first is the default, or one for the backend."""
    for engine in catalogue.engines(name) or (None,):
        yield Examination(
            f"backend={name}" + (f" backend.engine={engine}" if engine else ""),
            partial(_backend, name, engine),
            catalogue.install_command(catalogue.packages(name, engine)),
            needed=engine is None or engine == catalogue.engines(name)[0],
        )


def _backend(name: str, engine: str | None) -> str:
    """Imports a backend in a process of its own, as a run would; returns its devices."""
    missing = catalogue.missing_packages(name, engine)
    if missing:
        raise Problem(f"{' and '.join(missing)} is not installed")
    env = (
        variables.inherited() | {"TF_CPP_MIN_LOG_LEVEL": "3"} | ({"KERAS_BACKEND": engine} if engine else {})
    )
    try:
        process = subprocess.run(
            python_command("harness.commands.backend_devices", name),
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
        )
    except subprocess.TimeoutExpired as error:
        raise Problem("did not import within 120 s") from error
    if process.returncode:
        raise Problem((process.stderr.strip().splitlines() or [exit_description(process.returncode)])[-1])
    devices: dict[str, str] = json.loads(process.stdout.splitlines()[-1])
    return ", ".join(f"{device} ({label})" for device, label in devices.items())


def _dataset(name: str) -> str:
    root = default_root()
    load(name, root)
    return "embedded" if name == "digits" else f"verified, in {root / name}"


def _results() -> str:
    attempts.check_writable("results")
    return "can be written"


def show(findings: list[Finding], console: Console) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        text = Text(finding.text)
        if finding.advice:
            text.append(f"\n→ {finding.advice}")
        table.add_row("ok" if finding.good else "--", Text(finding.subject), text)
    console.print(table)
