"""Whether all contenders of a group fit into memory at once."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import psutil

from harness.commands.tournament.contender import Contender, TournamentError
from harness.config import dataset

FLOAT32_BYTES = 4
COPIES = 4  # of the parameters, at least: weights, gradients and, of Adam, two moments


def check(contenders: Sequence[Contender]) -> None:
    """Raises TournamentError if not even the training sets and the parameters fit, before anything starts."""
    _check(sum(map(_least_bytes, contenders)), f"the data and weights of {len(contenders)} contenders need")


def check_rest(ready: Iterable[dict[str, Any]], missing: int) -> None:
    """Raises TournamentError if as many contenders as are `missing` do not fit beside those that are ready,
    should they need as much as these on average."""
    held = [properties["memory_bytes"] for properties in ready]
    need = fmean(held) * missing
    _check(need, f"{len(held)} contenders hold {_gigabytes(sum(held))}, and {missing} more would need")


def _check(need: float, what: str) -> None:
    free = psutil.virtual_memory().available
    if need > free:
        raise TournamentError(
            f"memory: {what} {_gigabytes(need)}, of which {_gigabytes(free)} are available; let fewer "
            "compete at once, with other values or with --group"
        )


def _least_bytes(contender: Contender) -> int:
    config = contender.config
    shape = dataset.shape_of(config)
    numbers = dataset.train_size(config) * shape.steps * shape.features
    return FLOAT32_BYTES * (numbers + COPIES * config.model_spec(shape).parameters)


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
