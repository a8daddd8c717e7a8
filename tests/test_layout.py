"""The house: imports go down its floors, a framework stays in its folder, one file reads the clock."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HARNESS = ROOT / "harness"
FLOORS = (  # from the ground up; rooms of one floor do not know each other
    {"errors", "text"},
    {"model", "measure"},
    {"cells", "backends", "data"},
    {"config", "store"},
    {"runner", "report"},
    {"launcher"},
    {"sweep"},
    {"commands", "api"},
    {"__init__", "__main__"},
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
FRAMEWORKS = {  # package -> the backend below whose folder alone it may be imported
    "torch": ("torch", "keras/engines/torch.py"),
    "keras": ("keras",),
    "tensorflow": ("keras",),
    "jax": ("keras",),
    "jaxlib": ("keras",),
}
NAMED = FRAMEWORKS | {"torch": ("torch", "keras")}  # an engine of Keras has its name
FILES = sorted(HARNESS.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def room(path: Path) -> str:
    return path.relative_to(HARNESS).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, as `package.module.name`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def named(path: Path) -> Iterator[str]:
    """Every text in a file's code that is exactly the name of a framework; docstrings do not count."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in FRAMEWORKS:
            yield node.value


def test_there_are_twelve_rooms_and_five_modules() -> None:
    entries = {path.name for path in HARNESS.iterdir() if path.name not in ("__pycache__", "py.typed")}
    assert {name.removesuffix(".py") for name in entries} == set(FLOOR)
    assert sum(not name.endswith(".py") for name in entries) == 12


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_a_module_imports_only_from_floors_below(path: Path) -> None:
    mine = room(path)
    for name in imported(path):
        first, *rest = name.split(".")
        if first == "harness":
            theirs = rest[0] if rest and rest[0] in FLOOR else "__init__"
            assert theirs == mine or FLOOR[theirs] < FLOOR[mine], f"{mine} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_a_framework_is_known_only_to_its_backend(path: Path) -> None:
    below = path.relative_to(HARNESS).as_posix()
    uses = [(name.split(".")[0], FRAMEWORKS) for name in imported(path)] + [
        (name, NAMED) for name in named(path)
    ]
    for name, places in uses:
        allowed = [f"backends/{place}" for place in places.get(name, ())]
        assert not allowed or below.startswith(tuple(allowed)), f"{below} knows {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_one_file_reads_the_clock(path: Path) -> None:
    reads = {name.split(".")[0] for name in imported(path)} & {"time", "timeit"}
    assert not reads or path == HARNESS / "measure" / "clock.py"


def test_one_file_asks_the_nvidia_driver() -> None:
    asks = {path for path in FILES if any(name.split(".")[0] == "pynvml" for name in imported(path))}
    assert asks == {HARNESS / "measure" / "nvml.py"}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_imports_another(path: Path) -> None:
    for name in imported(path):
        assert not any(part.startswith("test_") for part in name.split(".")), f"imports {name}"


def test_tests_lie_in_the_folder_of_the_room_that_they_test() -> None:
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in TESTS}
    rooms = {path.parent.name for path in HARNESS.glob("*/__init__.py")}
    assert folders - {"."} <= rooms | {"bench", "docs", "gpu", "support"}
    assert [path for path in TESTS if path.parent == ROOT / "tests"] == [Path(__file__)]


def test_no_file_is_too_long_to_read() -> None:
    limits = {"harness": 300, "hydra_plugins": 300, "tests": 400}
    long = {
        str(path.relative_to(ROOT)): lines
        for folder, limit in limits.items()
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > limit
    }
    assert not long
