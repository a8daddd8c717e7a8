"""How long a run will take, estimated from runs that have ended."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from harness.config.identity import settings


@dataclass(frozen=True)
class RunKind:
    """`exact` is equal for runs that differ only in their seed, `similar` for all runs of one mode, backend,
    cell and data."""

    exact: str
    similar: str

    @staticmethod
    def of(config: Mapping[str, Any]) -> "RunKind":
        """`config` as `Config.to_mapping` gives it."""
        backend, cell, data = config["backend"], config["cell"]["name"], config["data"]["name"]
        return RunKind(
            json.dumps(settings(config), sort_keys=True),
            json.dumps([config["mode"], backend["name"], backend["engine"], cell, data]),
        )


class DurationEstimate:
    """Seconds per run: the median of exactly such runs, or else the mean of similar ones."""

    def __init__(self) -> None:
        self._exact: dict[str, list[float]] = defaultdict(list)
        self._similar: dict[str, list[float]] = defaultdict(list)
        self._estimates: dict[RunKind, float | None] = {}  # valid until the next `add`

    def add(self, kind: RunKind, seconds: float) -> None:
        """Takes into account a run that has ended."""
        self._exact[kind.exact].append(seconds)
        self._similar[kind.similar].append(seconds)
        self._estimates.clear()

    def seconds(self, kind: RunKind) -> float | None:
        """None if no similar run has ended."""
        if kind not in self._estimates:
            exact, similar = self._exact.get(kind.exact), self._similar.get(kind.similar)
            self._estimates[kind] = median(exact) if exact else fmean(similar) if similar else None
        return self._estimates[kind]

    def mean(self) -> float | None:
        """Of all runs that have ended."""
        durations = [seconds for some in self._similar.values() for seconds in some]
        return fmean(durations) if durations else None
