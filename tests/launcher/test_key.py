"""The key of a run: what determines its result is in it, and nothing else."""

import tomllib
from importlib import metadata

import pytest

import harness
import harness.backends.numpy
from harness.launcher.key import run_key
from harness.store import frames
from harness.store.record import RunRecord
from tests.conftest import ROOT
from tests.support.configurations import composed

JAX = ("backend=keras", "backend.engine=jax")


def key(*overrides: str) -> str:
    return run_key(composed(*overrides), 1)


def upgrade(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Makes the installed versions of packages look like others."""
    installed = metadata.version

    def version(name: str) -> str:
        return "99.9" if name in packages else installed(name)

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize("package", ["numpy", "keras", "jax", "jaxlib"])
def test_a_package_of_the_engine_in_use_is_in_the_key(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(*JAX)
    upgrade(monkeypatch, package)
    assert key(*JAX) != before


@pytest.mark.parametrize("package", ["tensorflow", "torch", "pandas"])
def test_a_package_that_the_run_does_not_use_is_not_in_the_key(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key(*JAX)
    upgrade(monkeypatch, package)
    assert key(*JAX) == before


def test_the_packages_of_a_backend_of_ones_own_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rich` is installed; no fixed list of frameworks has it."""
    packages = (*harness.backends.numpy.PACKAGES, "rich")
    before = key("backend=numpy")
    monkeypatch.setattr(harness.backends.numpy, "PACKAGES", packages)
    changed = key("backend=numpy")
    assert changed != before
    upgrade(monkeypatch, "rich")
    assert key("backend=numpy") not in (before, changed)


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert harness.__version__ == project["version"]


def test_published_records_keep_the_keys_that_they_were_stored_under() -> None:
    paths = sorted((ROOT / "results" / "published").glob("*/runs/*/*/record.json"))
    assert paths
    assert all(RunRecord.read(path).key == path.parts[-3] for path in paths)
    frame = frames.load(ROOT / "results" / "published" / "frameworks")
    assert set(frame["key"]) == {path.parts[-3] for path in paths if "frameworks" in path.parts}
