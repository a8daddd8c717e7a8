"""The measurements of a tournament: heats, the rounds within them, who is still in, and who is how fast."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean, median
from typing import Any

from harness.commands.tournament.comparison import LEVEL, GeometricMean, geometric_mean, holm_levels, p_value
from harness.commands.tournament.contender import Contender
from harness.commands.tournament.letters import letters
from harness.measure.contention import Contention

MINIMUM_ROUNDS = 5  # of a heat that counts
MINIMUM_HEATS = 5  # before anyone drops out, or a tournament ends because its intervals are narrow
# That the time is enough for, whatever a round takes. Ten heats tell smaller differences than five of twice the
# rounds: at the level of one among ten comparisons (0.1 %) Student's interval is 0.55 times as wide, even if the
# processes of a contender do not differ at all
HEATS = 10


@dataclass(frozen=True)
class Rules:
    """When a heat and the tournament end.

    `precision` is half of an interval's width, as a share of the ratio; `seconds` the longest that windows
    are timed. A heat has `rounds` rounds, but lasts no longer than a tenth of `seconds`; or it lasts as long as
    its processes took to start, if `rounds` is None, but no longer than a fifth. `drop_out`: whether contenders that are told apart from
    the leader drop out. `level` is that of all comparisons together.
    """

    precision: float
    seconds: float
    rounds: int | None = None
    drop_out: bool = False
    level: float = LEVEL

    def heat_is_over(self, rounds: int, spent: float, start_seconds: float) -> bool:
        """After so many rounds in `spent` seconds, of processes that took `start_seconds` to start."""
        if self.rounds is None:
            enough = spent >= min(start_seconds, self.seconds / MINIMUM_HEATS)
        else:
            enough = rounds >= self.rounds or spent >= self.seconds / HEATS
        return enough and rounds >= MINIMUM_ROUNDS


@dataclass(frozen=True)
class Failure:
    """Why a contender could not go on: the status that a run would have ended with, and the reason."""

    status: str
    reason: str


@dataclass
class Heat:
    """Rounds of the same processes. Contenders are numbered from 0.

    `start_order` is the order in which the processes were started, `start_seconds` the time until all were
    ready. `properties` holds what each process reported about itself. Every round has the seconds of each
    contender's window, in the order in which the windows came.
    """

    start_order: list[int]
    start_seconds: float = 0.0
    started: str = ""
    properties: dict[int, dict[str, Any]] = field(default_factory=dict)
    rounds: list[dict[int, float]] = field(default_factory=list)
    contended: Contention | None = None
    ratios: dict[tuple[int, int], tuple[int, float]] = field(default_factory=dict)  # after so many rounds

    def rounds_of(self, *contenders: int) -> list[dict[int, float]]:
        """The rounds in which all of these took part."""
        return [each for each in self.rounds if all(k in each for k in contenders)]

    def rate(self, contender: int, seconds: float) -> float:
        """The sequences/s of a window."""
        properties = self.properties[contender]
        return float(properties["updates"] * properties["batch_size"] / seconds)

    def median_rate(self, contender: int) -> float:
        """The sequences/s of a contender: the median over rounds."""
        return median(self.rate(contender, each[contender]) for each in self.rounds_of(contender))

    def ratio(self, a: int, b: int) -> float:
        """The first contender's rate divided by the second's: the median over rounds."""
        known = self.ratios.get((a, b))
        if known is None or known[0] != len(self.rounds):
            rates = [(self.rate(a, each[a]), self.rate(b, each[b])) for each in self.rounds_of(a, b)]
            known = self.ratios[a, b] = len(self.rounds), median(x / y for x, y in rates)
        return known[1]


@dataclass(frozen=True)
class Standing:
    """A contender's place: its speed in sequences/s, and relative to the leader's, with the interval at the
    level of this comparison. `letters`: see `letters.letters`; `heats` in which it took part."""

    contender: int
    rate: GeometricMean
    ratio: GeometricMean
    letters: str
    heats: int
    out: bool

    def shares_letter(self, other: "Standing") -> bool:
        """Whether the two cannot be told apart."""
        return bool(set(self.letters) & set(other.letters))


@dataclass
class Tournament:
    """The state of a tournament and, once `ended` is set, its result.

    `ended` is the reason of the end: "decided" (all others are told apart from the leader), "precise",
    "time", "stopped" or "failed". `dropped` has the number of heats after which a contender dropped out,
    `failures` why one failed. `seed` determines the order of starts and windows. `waiting_cpu_shares` holds
    for every window the share of a core that the waiting contenders used.
    """

    contenders: Sequence[Contender]
    rules: Rules
    seed: int = 0
    heats: list[Heat] = field(default_factory=list)
    dropped: dict[int, int] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    timed_seconds: float = 0.0
    ended: str = ""
    waiting_cpu_shares: list[float] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    started: str = ""

    @property
    def remaining(self) -> list[int]:
        """The contenders that are still in."""
        out = self.dropped.keys() | self.failures.keys()
        return [k for k in range(len(self.contenders)) if k not in out]

    @property
    def round_count(self) -> int:
        return sum(len(heat.rounds) for heat in self.heats)

    def counted_heats(self, *contenders: int) -> list[Heat]:
        """The heats that figures of these contenders are computed over: those with enough rounds of all of
        them, and at least half as many as most heats have, since all heats count alike; all that have a round
        if none has enough."""
        met = [heat for heat in self.heats if heat.rounds_of(*contenders)]
        rounds = [len(heat.rounds_of(*contenders)) for heat in met]
        enough = max(MINIMUM_ROUNDS, median(rounds) / 2) if rounds else 0
        return [heat for heat, count in zip(met, rounds, strict=True) if count >= enough] or met

    def ratios(self, a: int, b: int) -> list[float]:
        """The first contender's rate divided by the second's, heat by heat."""
        return [heat.ratio(a, b) for heat in self.counted_heats(a, b)]

    def ratio(self, a: int, b: int, level: float = LEVEL) -> GeometricMean:
        """The first contender's rate divided by the second's. Needs at least one round of both."""
        return geometric_mean(self.ratios(a, b), level)

    def rate(self, contender: int) -> GeometricMean:
        """The sequences/s of a contender, from the medians of its heats. Needs at least one round."""
        return geometric_mean([heat.median_rate(contender) for heat in self.counted_heats(contender)])

    def levels(self) -> dict[frozenset[int], float]:
        """The level of the interval of every two contenders that met and did not fail."""
        good = [k for k in range(len(self.contenders)) if k not in self.failures]
        ratios = {pair: self.ratios(*pair) for pair in combinations(good, 2)}
        p_values = {frozenset(pair): p_value(values) for pair, values in ratios.items() if values}
        return dict(zip(p_values, holm_levels(list(p_values.values()), self.rules.level), strict=True))

    def told_apart(self, pair: frozenset[int], level: float) -> bool:
        a, b = pair
        ratio = self.ratio(a, b, level)
        return ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high

    def standings(self) -> list[Standing]:
        """The contenders that did not fail, fastest first; the leader is one that is still in."""
        levels = self.levels()
        met = set().union(*levels)
        if not met:
            return []
        leader = max(met.intersection(self.remaining) or met, key=lambda k: self.rate(k).mean)
        ratios = {k: self.ratio(k, leader, levels.get(frozenset((k, leader)), self.rules.level)) for k in met}
        ranked = sorted(met, key=lambda k: (k != leader, -ratios[k].mean))
        apart = [pair for pair, level in levels.items() if self.told_apart(pair, level)]
        named = letters(ranked, apart)
        return [
            Standing(
                k, self.rate(k), ratios[k], named[k], len(self.counted_heats(k)), out=k not in self.remaining
            )
            for k in ranked
        ]

    def fail(self, contender: int, failure: Failure) -> None:
        """Takes a contender out; with a single one left the tournament is over."""
        self.failures[contender] = failure
        if len(self.remaining) < 2:
            self.ended = "failed"

    def judge(self) -> None:
        """After a heat: who drops out, and whether the tournament is over.

        A contender drops out if it is told apart from the leader, and from all who cannot be told apart from
        the leader: any of them may be the leader in the end.
        """
        heats = len(self.counted_heats(*self.remaining))
        if heats < MINIMUM_HEATS:
            return
        leader, *others = (each for each in self.standings() if not each.out)
        if self.rules.drop_out:
            front = set("".join(each.letters for each in (leader, *others) if leader.shares_letter(each)))
            for each in others:
                if not front & set(each.letters):
                    self.dropped[each.contender] = heats
        widths = [each.ratio.half_width for each in others if each.contender not in self.dropped]
        if not widths:
            self.ended = "decided"
        elif all(w is not None and w <= self.rules.precision for w in widths):
            self.ended = "precise"

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
        """The share of a core that contenders used while another was timed: the median over windows."""
        return median(self.waiting_cpu_shares) if self.waiting_cpu_shares else None
