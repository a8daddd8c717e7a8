"""What a race found: heats, the rounds within them, and the ratio with its interval.

Two processes of one configuration differ, and stay different for as long as they live: their memory lies
elsewhere (Mytkowicz et al., Producing Wrong Data Without Doing Anything Obviously Wrong, ASPLOS 2009). Rounds
of the same two processes say nothing of that, however many they are. So a race has heats, each with processes
of its own, and its interval is over heats (Kalibera and Jones, Rigorous Benchmarking in Reasonable Time, ISMM
2013).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, stdev
from typing import Any, NamedTuple

from scipy.special import stdtrit  # Student's quantile, without the import of scipy.stats

from harness.commands.race.plan import Side
from harness.measure.contention import Contended

FEWEST_ROUNDS = 5  # of a heat
FEWEST_HEATS = 5  # of a race that ends as precise
# Of Student's interval. Whoever stops as soon as an interval is narrow stops where it happens to be: asking
# for 97.5 % leaves 95.7 % to 98 %
LEVEL = 0.975


class Interval(NamedTuple):
    """A geometric mean over heats, and its 95 % interval; without one where there is a single heat."""

    mean: float
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """A share of the mean."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2 / self.mean


def interval(values: Sequence[float]) -> Interval:
    """Student's, of the logarithms of positive values."""
    logarithms = [math.log(value) for value in values]
    mean, n = fmean(logarithms), len(logarithms)
    if n < 2:
        return Interval(math.exp(mean), None, None)
    error = stdev(logarithms) / math.sqrt(n) * float(stdtrit(n - 1, (1 + LEVEL) / 2))
    return Interval(math.exp(mean), math.exp(mean - error), math.exp(mean + error))


@dataclass
class Heat:
    """Rounds of the same two processes, which were started in the order `started` and took `start_seconds`
    to be ready. `facts` is what each told when it was, `first` which side went first in each round, `seconds`
    of the windows of both in each round that is whole."""

    started: list[int]
    start_seconds: float = 0.0
    facts: list[dict[str, Any]] = field(default_factory=lambda: [{}, {}])
    first: list[int] = field(default_factory=list)
    seconds: list[tuple[float, float]] = field(default_factory=list)
    contended: Contended | None = None

    def rates(self, which: int) -> list[float]:
        """A side's sequences/s in every round."""
        facts = self.facts[which]
        work = facts["updates"] * facts["batch_size"]
        return [work / each[which] for each in self.seconds]

    @property
    def ratio(self) -> float:
        """The first side's rate over the second's: the median of the rounds'."""
        return median(a / b for a, b in zip(self.rates(0), self.rates(1), strict=True))


@dataclass
class Race:
    """What is known of a race so far."""

    sides: tuple[Side, Side]
    precision: float
    seconds_limit: float
    heats: list[Heat] = field(default_factory=list)
    timed_seconds: float = 0.0
    ended: str = ""  # why
    failed: str | None = None
    idle_shares: list[float] = field(default_factory=list)  # of a core, of who waits, in every window
    environment: dict[str, Any] = field(default_factory=dict)
    started: str = ""

    @property
    def rounds(self) -> int:
        return sum(len(heat.seconds) for heat in self.heats)

    @property
    def counted(self) -> list[Heat]:
        """The heats that the interval is over: one that was cut short is none, unless there is no other."""
        whole = [heat for heat in self.heats if len(heat.seconds) >= FEWEST_ROUNDS]
        return whole or [heat for heat in self.heats if heat.seconds]

    @property
    def ratio(self) -> Interval:
        """The first side's rate over the second's; there is a round."""
        return interval([heat.ratio for heat in self.counted])

    def rate(self, which: int) -> Interval:
        """A side's sequences/s, of the heats' medians; there is a round."""
        return interval([median(heat.rates(which)) for heat in self.counted])

    @property
    def precise(self) -> bool:
        """Whether the interval is as narrow as was asked for, over heats enough."""
        width = self.ratio.half_width
        return width is not None and width <= self.precision and len(self.counted) >= FEWEST_HEATS

    @property
    def contended(self) -> list[Contended]:
        """Of every heat that is over."""
        return [heat.contended for heat in self.heats if heat.contended]

    @property
    def others_share_of_cores(self) -> float | None:
        """The mean over heats, where it is known."""
        known = [each.others_share_of_cores for each in self.contended]
        shares = [share for share in known if share is not None]
        return fmean(shares) if shares else None

    @property
    def idle_share(self) -> float | None:
        """Of a core that a side used while the other was timed: the median over windows."""
        return median(self.idle_shares) if self.idle_shares else None
