"""Fixtures of the tests of sweeps."""

from pathlib import Path

import pytest


@pytest.fixture
def own_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's runs do not wait for those of other tests."""
    monkeypatch.setenv("HARNESS_LEASES", str(tmp_path / "leases"))
