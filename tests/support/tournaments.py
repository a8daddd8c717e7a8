"""Tournaments whose heats are drawn at random: no process runs."""

from collections.abc import Sequence

import numpy as np

from harness.commands.tournament.contender import Contender
from harness.commands.tournament.result import MINIMUM_ROUNDS, Heat, Rules, Tournament
from tests.support.configurations import composed

DEVIATION = 0.01  # of the log ratio of two alike processes, as measured over a heat of 39 rounds
CONFIG = composed("backend=numpy", "data=digits")


def tournament(count: int, rules: Rules) -> Tournament:
    """One of so many contenders, before its first heat."""
    return Tournament([Contender(f"contender {k}", CONFIG, 1, ()) for k in range(count)], rules)


def heat(rates: dict[int, float], rounds: int = MINIMUM_ROUNDS) -> Heat:
    """One in which every window of a contender has the same rate, in sequences/s."""
    properties = {k: {"updates": 1, "batch_size": 1} for k in rates}
    return Heat(
        list(rates), properties=properties, rounds=[{k: 1 / rate for k, rate in rates.items()}] * rounds
    )


def simulate(
    speeds: Sequence[float],
    rules: Rules,
    heats: int,
    rng: np.random.Generator,
    *,
    deviation: float = DEVIATION,
    slow_share: float = 0.0,
) -> Tournament:
    """Adds heats until the tournament is over, or there are so many. The speed of each process deviates from
    its contender's; a share of the processes is 5 % slower for as long as they live."""
    played = tournament(len(speeds), rules)
    while not played.ended:
        chance = deviation / np.sqrt(2) * rng.standard_normal(len(speeds))
        chance -= 0.05 * (rng.random(len(speeds)) < slow_share)
        played.heats.append(heat({k: speeds[k] * float(np.exp(chance[k])) for k in played.remaining}))
        played.judge()
        if len(played.heats) >= heats:
            played.ended = played.ended or "time"
    return played


def alike(played: Tournament) -> bool:
    """Whether no two contenders are told apart."""
    return {each.letters for each in played.standings()} == {"a"}
