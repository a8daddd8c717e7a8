"""`python -m harness doctor` looks for real, and says what to do."""

import subprocess
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from harness.commands import doctor
from harness.config import catalogue
from harness.launcher import variables
from harness.measure import machine
from harness.store import attempts
from tests.conftest import Shell

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
        (doctor, "gpus"),
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
    (found,) = (finding for finding in doctor.examine() if finding.subject == "environment variables")
    return found
