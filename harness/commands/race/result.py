"""The measurements of a race: heats, the rounds within them, and the ratio with its interval.

Two processes of one configuration differ in speed for as long as they live, because their memory is laid out
differently (Mytkowicz et al., Producing Wrong Data Without Doing Anything Obviously Wrong, ASPLOS 2009). More
rounds of the same two processes cannot show this difference. A race therefore has heats, each with new
processes, and its interval is computed over heats (Kalibera and Jones, Rigorous Benchmarking in Reasonable
Time, ISMM 2013).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, stdev
from typing import Any, NamedTuple

from harness.commands.race.plan import Side
from harness.measure.contention import Contention
from harness.measure.statistics import student_t

MINIMUM_ROUNDS = 5  # of a heat that counts
MINIMUM_HEATS = 5  # of a race that reaches its precision
# Level of Student's interval. A race stops as soon as its interval is narrow, which favours intervals that
# are narrow by chance: at a nominal 97.5 % the true coverage is 95.7 % to 98 %
LEVEL = 0.975


class GeometricMean(NamedTuple):
    """A geometric mean over heats with its 95 % interval, which is None for a single heat."""

    mean: float
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, as a share of the mean."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2 / self.mean


def geometric_mean(values: Sequence[float]) -> GeometricMean:
    """The mean of positive values, with Student's interval of their logarithms."""
    logarithms = [math.log(value) for value in values]
    mean, n = fmean(logarithms), len(logarithms)
    if n < 2:
        return GeometricMean(math.exp(mean), None, None)
    error = stdev(logarithms) / math.sqrt(n) * float(student_t(n - 1, LEVEL))
    return GeometricMean(math.exp(mean), math.exp(mean - error), math.exp(mean + error))


@dataclass
class Heat:
    """Rounds of the same two processes. Sides are numbered 0 and 1.

    `start_order` is the order in which the processes were started, `start_seconds` the time until both were
    ready. `properties` holds what each process reported about itself. For every complete round `first` is the
    side whose window came first, and `seconds` the duration of both windows.
    """

    start_order: list[int]
    start_seconds: float = 0.0
    properties: list[dict[str, Any]] = field(default_factory=lambda: [{}, {}])
    first: list[int] = field(default_factory=list)
    seconds: list[tuple[float, float]] = field(default_factory=list)
    contended: Contention | None = None

    def rates(self, index: int) -> list[float]:
        """The sequences/s of one side in every round."""
        properties = self.properties[index]
        sequences = properties["updates"] * properties["batch_size"]
        return [sequences / durations[index] for durations in self.seconds]

    @property
    def ratio(self) -> float:
        """The first side's rate divided by the second's: the median over rounds."""
        return median(a / b for a, b in zip(self.rates(0), self.rates(1), strict=True))


@dataclass
class Race:
    """The state of a race and, once `ended` is set, its result.

    `ended` is the reason of the end: "precise", "time", "stopped" or "failed". `waiting_cpu_shares` holds for
    every window the share of a core that the waiting side used.
    """

    sides: tuple[Side, Side]
    precision: float
    seconds_limit: float
    heats: list[Heat] = field(default_factory=list)
    timed_seconds: float = 0.0
    ended: str = ""
    failure: str | None = None
    waiting_cpu_shares: list[float] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    started: str = ""

    @property
    def round_count(self) -> int:
        return sum(len(heat.seconds) for heat in self.heats)

    @property
    def counted_heats(self) -> list[Heat]:
        """The heats that the interval is computed over: those with enough rounds, or all that have a round if
        none has enough."""
        complete = [heat for heat in self.heats if len(heat.seconds) >= MINIMUM_ROUNDS]
        return complete or [heat for heat in self.heats if heat.seconds]

    @property
    def ratio(self) -> GeometricMean:
        """The first side's rate divided by the second's. Needs at least one round."""
        return geometric_mean([heat.ratio for heat in self.counted_heats])

    def rate(self, index: int) -> GeometricMean:
        """The sequences/s of one side, from the medians of its heats. Needs at least one round."""
        return geometric_mean([median(heat.rates(index)) for heat in self.counted_heats])

    @property
    def precise(self) -> bool:
        """Whether enough heats give an interval as narrow as requested."""
        width = self.ratio.half_width
        return width is not None and width <= self.precision and len(self.counted_heats) >= MINIMUM_HEATS

    @property
    def contended(self) -> list[Contention]:
        """The contention of every finished heat."""
        return [heat.contended for heat in self.heats if heat.contended]

    @property
    def others_share_of_cores(self) -> float | None:
        """The mean over heats; None if it could not be measured."""
        shares = [
            contended.others_share_of_cores
            for contended in self.contended
            if contended.others_share_of_cores is not None
        ]
        return fmean(shares) if shares else None

    @property
    def waiting_cpu_share(self) -> float | None:
        """The share of a core that a side used while the other was timed: the median over windows."""
        return median(self.waiting_cpu_shares) if self.waiting_cpu_shares else None
