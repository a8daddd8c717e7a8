"""Runs a race: heats of two new processes, rounds of one window for each side, until the interval of the
ratio is narrow enough."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from harness.commands.race.plan import RaceError, Side
from harness.commands.race.result import MINIMUM_HEATS, MINIMUM_ROUNDS, Heat, Race
from harness.commands.race.side_process import SideFailed, SideProcess
from harness.config import catalogue, dataset
from harness.launcher import process, variables
from harness.launcher.lease import Lease, lease
from harness.measure import machine
from harness.measure.clock import now, seconds
from harness.measure.contention import ContentionMonitor
from harness.measure.cpu_time import cpu_seconds_with_children
from harness.measure.devices import cuda_device

MODULE = "harness.commands.race.side_session"
Note = Callable[[str], None]
Progress = Callable[[Race], None]


def run(race: Race, note: Note, progress: Progress) -> None:
    """Runs the race and stores all measurements in it.

    An interrupt or the failure of a side ends the race; its complete rounds are kept. `note(text)` is called
    before slow operations, `progress(race)` after each round. Raises RaceError, LeaseError, DataError, and,
    before the first round is complete, SideFailed and KeyboardInterrupt.
    """
    for side in race.sides:
        dataset.download_missing(side.config)
    with lease(max(side.threads for side in race.sides), _common_gpus(race.sides), note) as held:
        race.started = now().isoformat()
        race.environment = machine.describe_environment(
            held.cores, held.gpu, catalogue.all_packages(), variables.recorded()
        )
        try:
            while not race.ended:
                _run_heat(race, held, note, progress)
        except KeyboardInterrupt:
            if not race.round_count:
                raise
            race.ended = "stopped"
        except SideFailed as error:
            if not race.round_count:
                raise
            race.ended, race.failure = "failed", str(error)


def _run_heat(race: Race, held: Lease, note: Note, progress: Progress) -> None:
    """Starts both processes one after the other, so that neither warms up while the other computes, in a
    random order."""
    heat = Heat(random.sample((0, 1), 2))
    with ExitStack() as stack:
        start = seconds()
        processes = {}
        for index in heat.start_order:
            side = race.sides[index]
            note(f"heat {len(race.heats) + 1}: starting {side.text}")
            processes[index] = stack.enter_context(_side_process(side, held))
            heat.properties[index] = _wait_until_ready(side, processes[index], held)
        heat.start_seconds = seconds() - start
        race.heats.append(heat)
        _check_same_device(race)
        contention = ContentionMonitor(held.cores)
        try:
            _run_rounds(race, heat, processes, progress)
        finally:
            heat.contended = contention.result()
    if not race.ended and race.precise:
        race.ended = "precise"


def _run_rounds(race: Race, heat: Heat, processes: Mapping[int, SideProcess], progress: Progress) -> None:
    """Times rounds for as long as the heat took to start, so that half of its time is measured, but at most
    for a fifth of the race's limit."""
    target_seconds = min(heat.start_seconds, race.seconds_limit / MINIMUM_HEATS)
    start, timed_before = seconds(), race.timed_seconds
    while not race.ended:
        first = random.randrange(2)
        durations = [0.0, 0.0]
        for index in (first, 1 - first):
            waiting_pid = processes[1 - index].process.pid
            window_start, cpu_before = seconds(), cpu_seconds_with_children(waiting_pid)
            try:
                durations[index] = processes[index].time_window()
            except SideFailed as error:
                raise SideFailed(f"{race.sides[index].text}: {error}") from error
            cpu_seconds = cpu_seconds_with_children(waiting_pid) - cpu_before
            race.waiting_cpu_shares.append(cpu_seconds / (seconds() - window_start))
        heat.first.append(first)
        heat.seconds.append((durations[0], durations[1]))
        heat_seconds = seconds() - start
        race.timed_seconds = timed_before + heat_seconds
        progress(race)
        if race.timed_seconds >= race.seconds_limit:
            race.ended = "time"
        elif len(heat.seconds) >= MINIMUM_ROUNDS and heat_seconds >= target_seconds:
            return


def _side_process(side: Side, held: Lease) -> SideProcess:
    """The process of a side, in the environment that a run would have."""
    cores = held.cores[: side.threads]
    job = {
        "config": side.config.to_mapping(),
        "cores": list(cores),
        "window_seconds": side.config.measure.window_seconds,
    }
    return SideProcess(MODULE, job, process.environment(side.config, Lease(cores, _gpu(side, held))))


def _wait_until_ready(side: Side, child: SideProcess, held: Lease) -> dict[str, Any]:
    """The properties that the process reports, its device as the machine names it."""
    try:
        properties = child.wait_until_ready()
    except SideFailed as error:
        raise SideFailed(f"{side.text}: {error}") from error
    return properties | {"device": cuda_device(_gpu(side, held)) or properties["device"]}


def _gpu(side: Side, held: Lease) -> str | None:
    return held.gpu if side.gpus else None


def _common_gpus(sides: Sequence[Side]) -> list[str]:
    """The GPUs that every side which needs a GPU can use; raises RaceError if there are none."""
    needed = [side.gpus for side in sides if side.gpus]
    common = [gpu for gpu in needed[0] if all(gpu in gpus for gpus in needed)] if needed else []
    if needed and not common:
        raise RaceError("the sides need different GPUs; a race runs on one")
    return common


def _check_same_device(race: Race) -> None:
    a, b = (properties["device"] for properties in race.heats[0].properties)
    if a != b and not any(side.names_device for side in race.sides):
        raise RaceError(
            f"{race.sides[0].text} computes on {a}, {race.sides[1].text} on {b}: set device=cpu for both, "
            "or set the device in a side if devices are what you compare"
        )
