"""A race: rounds of one window of each side, in a fresh order, until the interval of the ratio is narrow."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from harness import environment
from harness.config import chosen
from harness.devices import label
from harness.launcher import process
from harness.launcher.lease import Lease, lease
from harness.measure.clock import now, seconds
from harness.measure.contention import Contended, Contention
from harness.measure.statistics import Estimate, estimate
from harness.race.contender import Contender, SideFailed
from harness.race.plan import RaceError, Side

MODULE = "harness.race.session"
FEWEST_ROUNDS = 12
# Of the interval's order statistics. Whoever stops as soon as an interval is narrow stops where it happens
# to be: asking for 97.5 % leaves 95 % to 98 % of independent rounds; of rounds that drift together, less
LEVEL = 0.975


@dataclass
class Race:
    """What is known of a race so far. `facts` is what each side told when it was ready, `orders` which side
    went first in each round, `seconds` of the windows of both in each round that is whole."""

    sides: tuple[Side, Side]
    precision: float
    seconds_limit: float
    facts: list[dict[str, Any]] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    seconds: list[tuple[float, float]] = field(default_factory=list)
    ended: str = ""  # why
    failed: str | None = None
    contended: Contended | None = None
    idle_share: float | None = None  # of a core that a side used while the other was timed
    environment: dict[str, Any] = field(default_factory=dict)
    started: str = ""

    def rates(self, which: int) -> list[float]:
        """A side's sequences/s in every round."""
        facts = self.facts[which]
        work = facts["updates"] * facts["batch_size"]
        return [work / each[which] for each in self.seconds]

    @property
    def ratio(self) -> Estimate | None:
        """The first side's rate over the second's, round by round: median and interval."""
        each = [a / b for a, b in zip(self.rates(0), self.rates(1), strict=True)] if self.seconds else []
        return estimate(each, LEVEL) if each else None

    @property
    def half_width(self) -> float | None:
        """Half the interval's width over the ratio; None as long as there are too few rounds for an
        interval."""
        found = self.ratio
        return (
            None if found is None or found.coverage < LEVEL else (found.high - found.low) / 2 / found.median
        )


def run(race: Race, say: Callable[[str], None], told: Callable[[Race], None]) -> None:
    """Runs it, and leaves in it what was found, also where it is interrupted: KeyboardInterrupt is an end
    like others once a round is whole.

    `say(text)` is called for what takes long before the first round, `told(race)` after each. Raises
    RaceError, LeaseError, DataError, and SideFailed for a side that does not get ready.
    """
    for side in race.sides:
        chosen.provide(side.config)
    with (
        lease(max(side.threads for side in race.sides), _gpus(race.sides), say) as held,
        ExitStack() as stack,
    ):
        race.started = now().isoformat()
        race.environment = environment.describe(held.cores, held.gpu)
        children = [stack.enter_context(_ready(race, side, held, say)) for side in race.sides]
        _same_device(race)
        contention = Contention(held.cores)
        idle = Idle(children)
        try:
            _rounds(race, children, idle, told)
        except KeyboardInterrupt:
            if not race.seconds:
                raise
            race.ended = "stopped"
        except SideFailed as error:
            race.ended, race.failed = "failed", str(error)
        race.contended, race.idle_share = contention.found(), idle.share


def _rounds(race: Race, children: Sequence[Contender], idle: "Idle", told: Callable[[Race], None]) -> None:
    start = seconds()
    while True:
        first = random.randrange(2)
        found = [0.0, 0.0]
        for which in (first, 1 - first):
            with idle.of(1 - which):
                try:
                    found[which] = children[which].window()
                except SideFailed as error:
                    raise SideFailed(f"{race.sides[which].text}: {error}") from error
        race.orders.append(first)
        race.seconds.append((found[0], found[1]))
        told(race)
        width = race.half_width
        if width is not None and width <= race.precision and len(race.seconds) >= FEWEST_ROUNDS:
            race.ended = "precise"
            return
        if seconds() - start >= race.seconds_limit:
            race.ended = "time"
            return


@contextmanager
def _ready(race: Race, side: Side, held: Lease, say: Callable[[str], None]) -> Iterator[Contender]:
    """A side's process in the environment of a run, when it is ready: one after the other, so that none is
    warmed up beside another."""
    say(f"starting {side.text}")
    gpu = held.gpu if side.gpus else None
    cores = held.cores[: side.threads]
    job = {
        "config": side.config.to_mapping(),
        "cores": list(cores),
        "window_seconds": side.config.measure.window_seconds,
    }
    with Contender(MODULE, job, process.environment(side.config, Lease(cores, gpu))) as child:
        try:
            facts = child.ready()
        except SideFailed as error:
            raise SideFailed(f"{side.text}: {error}") from error
        race.facts.append(facts | {"device": label(gpu) or facts["device"]})
        yield child


def _gpus(sides: Sequence[Side]) -> list[str]:
    """The GPUs any one of which serves all sides that want one; raises RaceError where none does."""
    wanted = [side.gpus for side in sides if side.gpus]
    found = [gpu for gpu in wanted[0] if all(gpu in gpus for gpus in wanted)] if wanted else []
    if wanted and not found:
        raise RaceError("the sides want different GPUs: a race is on one")
    return found


def _same_device(race: Race) -> None:
    a, b = (facts["device"] for facts in race.facts)
    if a != b and not any(side.names_device for side in race.sides):
        raise RaceError(
            f"{race.sides[0].text} computes on {a}, {race.sides[1].text} on {b}: say device=cpu for both, "
            "or name the device in a side, if that is what is compared"
        )


class Idle:
    """How much of a core a side used while the other was timed."""

    def __init__(self, children: Sequence[Contender]) -> None:
        self.processes = [psutil.Process(child.process.pid) for child in children]
        self.shares: list[float] = []

    @contextmanager
    def of(self, which: int) -> Iterator[None]:
        start, before = seconds(), self._cpu(which)
        yield
        self.shares.append((self._cpu(which) - before) / (seconds() - start))

    @property
    def share(self) -> float | None:
        """The median over windows."""
        return sorted(self.shares)[len(self.shares) // 2] if self.shares else None

    def _cpu(self, which: int) -> float:
        found = 0.0
        with suppress(psutil.Error):  # it has just ended, which its next window will say
            for each in (self.processes[which], *self.processes[which].children(recursive=True)):
                times = each.cpu_times()
                found += times.user + times.system
        return found
