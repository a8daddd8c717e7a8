"""A store of the test's own: the user's cache, and a root like an object store."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.support import here


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache in a directory of the test's own, here and in processes that are started."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A root like an object store."""
    fsspec.register_implementation("here", here.Here, clobber=True)
    fsspec.register_implementation("moved", here.Moved, clobber=True)
    here.Moved.moves.clear()
    return f"here://{tmp_path}/bucket"
