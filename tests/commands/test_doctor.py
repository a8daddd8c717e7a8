"""`python -m harness doctor` looks for real, and says what to do."""

import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from harness.commands import doctor
from harness.config import catalogue
from harness.launcher import variables
from harness.measure import energy, machine
from harness.store import attempts
from tests.conftest import Shell
from tests.support.nvidia import Card, Instance, NvidiaMachine

Shadow = Callable[[str, str], dict[str, str]]


@pytest.mark.long
def test_what_works_and_what_to_do_about_the_rest(harness_command: Shell, shadow: Shadow, mnist: str) -> None:
    env = shadow("torch", "raise ImportError('libtorch.so is broken')") | {"HARNESS_DATA": mnist}
    done = harness_command("doctor", env=env)
    assert done.returncode == 1, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(line.startswith("ok backend=numpy cpu (") for line in lines), done.stdout
    assert any(line.startswith("ok backend=keras backend.engine=tensorflow cpu (") for line in lines)
    (at,) = (k for k, line in enumerate(lines) if line.startswith("-- backend=torch "))
    assert "libtorch.so is broken" in lines[at]
    assert lines[at + 1] == "→ pip install -c constraints.txt torch"
    assert f"ok data=mnist verified, in {mnist}/mnist" in lines
    assert any(line.startswith("-- data=fashion_mnist") for line in lines)
    assert "Traceback" not in done.stderr


def test_a_lease_directory_that_cannot_be_used_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "backend_names", list)
    monkeypatch.setenv("HARNESS_LEASES", "/dev/null/leases")
    (leases,) = (finding for finding in doctor.examine() if finding.subject == "core leases")
    assert not leases.good
    assert leases.text.startswith("leases: /dev/null/leases cannot be used (Not a directory)")
    assert leases.advice == "set HARNESS_LEASES to a directory that can be written"


def test_whatever_an_examination_runs_into_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("broken\nthroughout")

    for module, name in (
        (machine, "cpu_name"),
        (machine, "load_average"),
        (doctor, "visible_gpus"),
        (energy, "PackageCounters"),
        (doctor, "threadpool_info"),
        (doctor, "lease_directory"),
        (doctor, "load"),
        (attempts, "check_writable"),
        (variables, "cleared"),
        (catalogue, "missing_packages"),
        (subprocess, "run"),
    ):
        monkeypatch.setattr(module, name, broken)
    findings = doctor.examine()
    assert [finding.text for finding in findings if finding.good] == []
    assert {finding.text for finding in findings} == {"RuntimeError: broken throughout"}
    assert sum(finding.needed for finding in findings) == len(catalogue.backend_names())
    out = StringIO()
    doctor.show(findings, Console(file=out, width=200))
    assert out.getvalue().count("RuntimeError: broken throughout") == len(findings)


def test_variables_that_change_speed_are_named(
    monkeypatch: pytest.MonkeyPatch, plain_environment: None
) -> None:
    monkeypatch.setattr(catalogue, "backend_names", list)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert variables_found().good
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    assert not variables_found().good
    said = variables_found().text
    assert said.startswith("MALLOC_ARENA_MAX=1: part of every run's key and record; runs start without ")
    assert "OMP_WAIT_POLICY" in said


def variables_found() -> doctor.Finding:
    return found("environment variables")


def found(subject: str) -> doctor.Finding:
    (finding,) = (finding for finding in doctor.examine() if finding.subject == subject)
    return finding


@pytest.mark.usefixtures("no_backends")
def test_cards_their_parts_their_driver_and_their_meters_are_named(nvidia: NvidiaMachine) -> None:
    assert found("GPUs").text == "no CUDA device"
    nvidia.install(0, 1)
    split = [Instance("MIG-1", "NVIDIA H200 MIG 1g.18gb")]
    nvidia.nvml(Card(0, "GPU-aa"), Card(1, "GPU-bb", instances=split))
    finding = found("GPUs")
    assert finding.good
    assert finding.text == (
        "cuda:0 NVIDIA H200 (GPU-aa), energy by NVML; cuda:1 NVIDIA H200 MIG 1g.18gb (MIG-1), no energy: the "
        "card's counter is that of all its MIG instances together; driver 580.65.06"
    )


@pytest.mark.usefixtures("no_backends")
def test_a_gpu_without_nvml_is_one_sentence(nvidia: NvidiaMachine) -> None:
    nvidia.install(0, told={"0000:10:00.0": (0, "GPU-aa")})
    nvidia.version()
    finding = found("GPUs")
    assert not finding.good
    assert finding.text == (
        "cuda:0 NVIDIA H200 (GPU-aa); driver 580.65.06; NVML: nvidia-ml-py is not installed; install it: "
        "pip install -c constraints.txt nvidia-ml-py"
    )
    assert finding.advice == "without it, runs record neither their energy nor who else used the GPU"


@pytest.mark.usefixtures("no_backends")
def test_the_processor_s_counters_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(energy, "_packages", lambda: {"0"})
    assert not found("energy of the processor").good
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    for name, text in (("name", "package-0"), ("max_energy_range_uj", "9"), ("energy_uj", "1")):
        (zone / name).write_text(text)
    assert found("energy of the processor").text == "RAPL: package-0"


@pytest.fixture
def no_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "backend_names", list)
