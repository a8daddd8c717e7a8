"""The tests that need a GPU are found, whoever wrote them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment
from tests.gpu import cuda_tests

SKIPPED = """
import pytest

@pytest.mark.skipif(True, reason="no CUDA device")
def test_of_a_kernel():
    pass

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.skipif(True, reason="needs two GPUs")), 2])
def test_some(x):
    pass

@pytest.mark.skipif(True, reason="no browser")
def test_of_a_page():
    pass
"""


def collected(*arguments: str) -> set[str]:
    """The tests that have the marker."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, 5), done.stdout + done.stderr
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_a_reason_that_names_a_gpu_marks_a_test(tmp_path: Path) -> None:
    path = tmp_path / "test_made.py"
    path.write_text(SKIPPED)
    project = ("-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"))
    found = {name.rpartition("::")[2] for name in collected(*project, str(path))}
    assert found == {"test_of_a_kernel", "test_some[1]"}


def test_their_files_are_found() -> None:
    found = cuda_tests.files()
    assert "tests/backends/test_torch.py" in found
    assert "tests/backends/test_torch_cuda_graph.py" in found
    assert "tests/commands/test_bad_input.py" not in found


@pytest.mark.long
def test_no_file_with_such_a_test_is_missing() -> None:
    """A file whose skip is written in another way than `files` looks for."""
    assert {name.partition("::")[0] for name in collected("tests")} <= set(cuda_tests.files())


def test_how_tests_ended_is_read_from_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite name="pytest">'
        '<testcase classname="tests.a" name="test_good"/>'
        '<testcase classname="tests.a" name="test_bad"><failure message="no"/></testcase>'
        '<testcase classname="tests.a" name="test_not"><skipped message="no GPU"/></testcase>'
        "</testsuite></testsuites>"
    )
    found = cuda_tests.outcomes(report)
    assert json.loads(json.dumps(found)) == {
        "passed": ["tests.a.test_good"],
        "failed": ["tests.a.test_bad"],
        "skipped": ["tests.a.test_not"],
    }
