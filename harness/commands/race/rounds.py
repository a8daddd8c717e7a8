"""The course of a race: heats of two new processes each, rounds of one window of each side in a fresh order,
until the interval of the ratio is narrow."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from harness.commands.race.plan import RaceError, Side
from harness.commands.race.result import FEWEST_HEATS, FEWEST_ROUNDS, Heat, Race
from harness.commands.race.side_process import Contender, SideFailed
from harness.config import dataset
from harness.launcher import process
from harness.launcher.lease import Lease, lease
from harness.measure import machine
from harness.measure.clock import now, seconds
from harness.measure.contention import Contention
from harness.measure.cpu_time import used_with_children
from harness.measure.devices import label

MODULE = "harness.commands.race.side_session"


def run(race: Race, say: Callable[[str], None], told: Callable[[Race], None]) -> None:
    """Runs it, and leaves in it what was found, also where it is interrupted: KeyboardInterrupt, or a side
    that fails, is an end like others once a round is whole.

    `say(text)` is called for what takes long, `told(race)` after each round. Raises RaceError, LeaseError,
    DataError, and SideFailed for a side that fails before there is a round.
    """
    for side in race.sides:
        dataset.provide(side.config)
    with lease(max(side.threads for side in race.sides), _gpus(race.sides), say) as held:
        race.started = now().isoformat()
        race.environment = machine.describe(held.cores, held.gpu)
        try:
            while not race.ended:
                _heat(race, held, say, told)
        except KeyboardInterrupt:
            if not race.rounds:
                raise
            race.ended = "stopped"
        except SideFailed as error:
            if not race.rounds:
                raise
            race.ended, race.failed = "failed", str(error)


def _heat(race: Race, held: Lease, say: Callable[[str], None], told: Callable[[Race], None]) -> None:
    """One heat. The sides are started one after the other, so that none is warmed up beside another, in a
    fresh order."""
    heat = Heat(random.sample((0, 1), 2))
    with ExitStack() as stack:
        start = seconds()
        children = {}
        for which in heat.started:
            say(f"heat {len(race.heats) + 1}: starting {race.sides[which].text}")
            children[which] = stack.enter_context(_contender(race.sides[which], held))
            heat.facts[which] = _ready(race.sides[which], children[which], held)
        heat.start_seconds = seconds() - start
        race.heats.append(heat)
        _same_device(race)
        contention = Contention(held.cores)
        try:
            _rounds(race, heat, children, told)
        finally:
            heat.contended = contention.found()
    if not race.ended and race.precise:
        race.ended = "precise"


def _rounds(race: Race, heat: Heat, children: Mapping[int, Contender], told: Callable[[Race], None]) -> None:
    """As many as a heat has: it lasts as long as its start did, so that half of the wait is timed, or a fifth
    of the time that there is, where that is less."""
    pids = {which: child.process.pid for which, child in children.items()}
    long_enough = min(heat.start_seconds, race.seconds_limit / FEWEST_HEATS)
    start, before = seconds(), race.timed_seconds
    while not race.ended:
        first = random.randrange(2)
        found = [0.0, 0.0]
        for which in (first, 1 - first):
            start_of_window, before_it = seconds(), used_with_children(pids[1 - which])
            try:
                found[which] = children[which].window()
            except SideFailed as error:
                raise SideFailed(f"{race.sides[which].text}: {error}") from error
            idle = used_with_children(pids[1 - which]) - before_it
            race.idle_shares.append(idle / (seconds() - start_of_window))
        heat.first.append(first)
        heat.seconds.append((found[0], found[1]))
        lasted = seconds() - start
        race.timed_seconds = before + lasted
        told(race)
        if race.timed_seconds >= race.seconds_limit:
            race.ended = "time"
        elif len(heat.seconds) >= FEWEST_ROUNDS and lasted >= long_enough:
            return


def _contender(side: Side, held: Lease) -> Contender:
    """A side's process, in the environment of a run."""
    cores = held.cores[: side.threads]
    job = {
        "config": side.config.to_mapping(),
        "cores": list(cores),
        "window_seconds": side.config.measure.window_seconds,
    }
    return Contender(MODULE, job, process.environment(side.config, Lease(cores, _gpu(side, held))))


def _ready(side: Side, child: Contender, held: Lease) -> dict[str, Any]:
    """What it tells when it is."""
    try:
        facts = child.ready()
    except SideFailed as error:
        raise SideFailed(f"{side.text}: {error}") from error
    return facts | {"device": label(_gpu(side, held)) or facts["device"]}


def _gpu(side: Side, held: Lease) -> str | None:
    return held.gpu if side.gpus else None


def _gpus(sides: Sequence[Side]) -> list[str]:
    """The GPUs any one of which serves all sides that want one; raises RaceError where none does."""
    wanted = [side.gpus for side in sides if side.gpus]
    found = [gpu for gpu in wanted[0] if all(gpu in gpus for gpus in wanted)] if wanted else []
    if wanted and not found:
        raise RaceError("the sides want different GPUs: a race is on one")
    return found


def _same_device(race: Race) -> None:
    a, b = (facts["device"] for facts in race.heats[0].facts)
    if a != b and not any(side.names_device for side in race.sides):
        raise RaceError(
            f"{race.sides[0].text} computes on {a}, {race.sides[1].text} on {b}: say device=cpu for both, "
            "or name the device in a side, if that is what is compared"
        )
