"""Stage: the tests that are skipped where there is no GPU, by their marker `gpu`; see `tests/conftest.py`."""

import json
import re
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.gpu.prepared import ROOT
from tests.gpu.stages import finish, job

FILE = "cuda_tests.json"
# a file that has such a test; others are not even imported: what they need may be missing on such a machine
MENTIONED = re.compile(r"skipif\([^)]*(?:CUDA|GPU)", re.IGNORECASE)


def files() -> list[str]:
    """The test files in which such tests are."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in paths if MENTIONED.search(path.read_text("utf-8"))]


def outcomes(report: Path) -> dict[str, list[str]]:
    """The tests by how they ended, from pytest's JUnit XML."""
    found: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        how = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[how].append(f"{case.get('classname')}.{case.get('name')}")
    return found


def main() -> int:
    """pytest's exit status."""
    given = job(__doc__)
    options = ("-m", "gpu", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors")
    with tempfile.TemporaryDirectory() as place:
        report = Path(place, "report.xml")
        code = finish(["-m", "pytest", *options, f"--junitxml={report}", *files()], given.seconds)
        found = outcomes(report) if report.exists() else {}
    (given.output / FILE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
