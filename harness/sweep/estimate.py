"""How long a run will take, from how long others took."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from harness.launcher.key import essential


@dataclass(frozen=True)
class Kind:
    """What runs are alike in: everything but the seed, and mode, backend, cell and data alone."""

    same: str
    alike: str

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Kind":
        """`config` as `Config.to_mapping` gives it."""
        backend, cell, data = config["backend"], config["cell"]["name"], config["data"]["name"]
        return Kind(
            json.dumps({**essential(config), "seed": None}, sort_keys=True),
            json.dumps([config["mode"], backend["name"], backend["engine"], cell, data]),
        )


class Estimate:
    """Seconds per run, as it is learnt: the median of runs that are the same but for the seed, or else the
    mean of those that are alike."""

    def __init__(self) -> None:
        self._same: dict[str, list[float]] = defaultdict(list)
        self._alike: dict[str, list[float]] = defaultdict(list)
        self._found: dict[Kind, float | None] = {}  # until something is learnt

    def learn(self, kind: Kind, spent: float) -> None:
        """`spent` in seconds."""
        self._same[kind.same].append(spent)
        self._alike[kind.alike].append(spent)
        self._found.clear()

    def seconds(self, kind: Kind) -> float | None:
        """None where nothing alike was learnt."""
        if kind not in self._found:
            same, alike = self._same.get(kind.same), self._alike.get(kind.alike)
            self._found[kind] = median(same) if same else fmean(alike) if alike else None
        return self._found[kind]

    def mean(self) -> float | None:
        """Of everything learnt."""
        everything = [spent for each in self._alike.values() for spent in each]
        return fmean(everything) if everything else None
