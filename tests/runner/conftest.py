"""Runs that several tests compare theirs with."""

from collections.abc import Callable

import pytest

from harness.store.record import RunRecord
from tests.support.checkpoints import call, records


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], RunRecord]:
    """The record of a run that nothing happened to, and that kept no checkpoints."""
    found: dict[tuple[str, ...], RunRecord] = {}

    def record(overrides: tuple[str, ...]) -> RunRecord:
        if overrides not in found:
            results = tmp_path_factory.mktemp("undisturbed")
            status, err = call(results, overrides)
            assert status == 0, err
            (found[overrides],) = records(results)
            assert "resumed" not in found[overrides].details
        return found[overrides]

    return record
