"""Tests of drawn cases: a few in `make test`, many in `make test-full`."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis.strategies import SearchStrategy

Check = Callable[..., None]


def fuzz(
    few: int, many: int, *, examples: Sequence[Mapping[str, Any]] = (), **strategies: SearchStrategy
) -> Callable[[Check], Check]:
    """Makes a test of a check of drawn arguments; its other arguments are fixtures. `examples` are checked
    every time. The cases are the same in every call: of random ones a rare failure would meet only one of us.
    """

    def test_of(check: Check) -> Check:
        fixtures = [name for name in signature(check).parameters if name not in strategies]

        @pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.long)])
        def test(count: int, request: pytest.FixtureRequest) -> None:
            values = {name: request.getfixturevalue(name) for name in fixtures}

            def checked(**drawn: Any) -> None:
                check(**values, **drawn)

            for each in examples:
                checked = example(**each)(checked)
            _settings(count)(given(**strategies)(checked))()

        test.__name__, test.__doc__, test.__module__ = check.__name__, check.__doc__, check.__module__
        return test

    return test_of


def _settings(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
