"""How long a run will take, from how long others took."""

import json
from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean, median
from typing import Any

from harness.key import essential


class Estimate:
    """Seconds per run, as it is learnt: the median of runs that differ in their seed alone, or else the mean
    of those of the same mode, backend, cell and data."""

    def __init__(self) -> None:
        self._same: dict[str, list[float]] = defaultdict(list)
        self._alike: dict[str, list[float]] = defaultdict(list)

    def learn(self, config: Mapping[str, Any], spent: float) -> None:
        """`config` as `Config.to_mapping` gives it; `spent` in seconds."""
        self._same[_but_for_seed(config)].append(spent)
        self._alike[_kind(config)].append(spent)

    def seconds(self, config: Mapping[str, Any]) -> float | None:
        """None where nothing alike was learnt."""
        if same := self._same.get(_but_for_seed(config)):
            return median(same)
        if alike := self._alike.get(_kind(config)):
            return fmean(alike)
        return None

    def mean(self) -> float | None:
        """Of everything learnt."""
        everything = [spent for each in self._alike.values() for spent in each]
        return fmean(everything) if everything else None


def _but_for_seed(config: Mapping[str, Any]) -> str:
    return json.dumps({**essential(config), "seed": None}, sort_keys=True)


def _kind(config: Mapping[str, Any]) -> str:
    backend = config["backend"]
    kind = config["mode"], backend["name"], backend["engine"], config["cell"]["name"], config["data"]["name"]
    return json.dumps(kind)
