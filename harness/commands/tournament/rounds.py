"""Runs a tournament: heats of new processes, and rounds of one window for each contender that is still in."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from harness.commands.tournament import memory
from harness.commands.tournament.contender import Contender, TournamentError
from harness.commands.tournament.contender_process import ContenderFailed, ContenderProcess
from harness.commands.tournament.result import Failure, Heat, Tournament
from harness.config import dataset
from harness.launcher import environment, process
from harness.launcher.lease import Lease, lease
from harness.measure.clock import now, seconds
from harness.measure.contention import ContentionMonitor
from harness.measure.cpu_time import cpu_seconds_of
from harness.measure.devices import cuda_device
from harness.measure.gpu_contention import GpuMonitor

MODULE = "harness.commands.tournament.contender_session"
Note = Callable[[str], None]
Progress = Callable[[Tournament], None]
HeatOver = Callable[[Tournament, Heat], None]


def run(
    tournament: Tournament,
    note: Note,
    progress: Progress,
    heat_over: HeatOver = lambda tournament, heat: None,
) -> None:
    """Runs the tournament and stores all measurements in it.

    A contender that fails is out, and the others go on. An interrupt ends the tournament; its complete rounds
    are kept. `note(text)` is called before slow operations, `progress` after each round, `heat_over` after
    each heat, complete or not. Raises TournamentError, LeaseError, DataError, and KeyboardInterrupt before
    the first round is complete.
    """
    if tournament.ended:  # too few can start
        return
    rng = random.Random(tournament.seed)
    contenders = [tournament.contenders[k] for k in tournament.remaining]
    memory.check(contenders)
    for contender in contenders:
        dataset.download_missing(contender.config)
    with lease(max(each.threads for each in contenders), _common_gpus(contenders), note) as held:
        tournament.started = now().isoformat()
        tournament.environment = environment.describe(held)
        try:
            while not tournament.ended:
                _run_heat(tournament, held, rng, note, progress, heat_over)
        except KeyboardInterrupt:
            if not tournament.round_count:
                raise
            tournament.ended = "stopped"


def _run_heat(
    tournament: Tournament,
    held: Lease,
    rng: random.Random,
    note: Note,
    progress: Progress,
    heat_over: HeatOver,
) -> None:
    """Starts the processes one after the other, so that none warms up while another computes, in a random
    order."""
    remaining = tournament.remaining
    heat = Heat(rng.sample(remaining, len(remaining)), started=now().isoformat())
    number = len(tournament.heats) + 1
    with ExitStack() as stack:
        start = seconds()
        processes = {}
        for place, k in enumerate(heat.start_order):
            contender = tournament.contenders[k]
            note(f"heat {number}: starting {contender.name}")
            started, began = now().isoformat(), seconds()
            child = stack.enter_context(_process(contender, held))
            try:
                heat.properties[k] = _wait_until_ready(contender, child, held)
            except ContenderFailed as error:
                child.close()
                tournament.fail(k, Failure(error.status, str(error)))
                continue
            heat.properties[k] |= {"started": started, "ready_seconds": seconds() - began}
            processes[k] = child
            if not tournament.heats:
                memory.check_rest(heat.properties.values(), len(remaining) - place - 1)
        heat.start_seconds = seconds() - start
        tournament.heats.append(heat)
        _check_same_device(tournament, heat)
        gpu = GpuMonitor(held.gpu) if held.gpu else None
        contention = ContentionMonitor(held.cores, gpu=gpu)
        try:
            if not tournament.ended:
                _run_rounds(tournament, heat, processes, rng, progress)
        finally:
            heat.contended = contention.result(ended=True)
            heat_over(tournament, heat)
    if tournament.ended in ("", "time"):
        tournament.judge()


def _run_rounds(
    tournament: Tournament,
    heat: Heat,
    processes: Mapping[int, ContenderProcess],
    rng: random.Random,
    progress: Progress,
) -> None:
    """Times rounds, each in a new random order, until the heat or the tournament is over."""
    start, timed_before = seconds(), tournament.timed_seconds
    while not tournament.ended:
        remaining = tournament.remaining
        durations: dict[int, float] = {}
        for k in rng.sample(remaining, len(remaining)):
            waiting = [each for j in remaining if j != k for each in processes[j].tree]
            window_start, cpu_before = seconds(), cpu_seconds_of(waiting)
            try:
                durations[k] = processes[k].time_window()
            except ContenderFailed as error:
                processes[k].close()
                tournament.fail(k, Failure(error.status, str(error)))
                if tournament.ended:
                    return
                continue
            cpu_seconds = cpu_seconds_of(waiting) - cpu_before
            tournament.waiting_cpu_shares.append(cpu_seconds / (seconds() - window_start))
        heat.rounds.append(durations)
        spent = seconds() - start
        tournament.timed_seconds = timed_before + spent
        progress(tournament)
        if tournament.timed_seconds >= tournament.rules.seconds:
            tournament.ended = "time"
        elif tournament.rules.heat_is_over(len(heat.rounds), spent, heat.start_seconds):
            return


def _process(contender: Contender, held: Lease) -> ContenderProcess:
    """The process of a contender, in the environment that a run would have."""
    cores = held.cores[: contender.threads]
    job = {
        "config": contender.config.to_mapping(),
        "cores": list(cores),
        "window_seconds": contender.config.measure.window_seconds,
    }
    return ContenderProcess(
        MODULE, job, process.environment(contender.config, Lease(cores, _gpu(contender, held)))
    )


def _wait_until_ready(contender: Contender, child: ContenderProcess, held: Lease) -> dict[str, Any]:
    """The properties that the process reports, its device as the machine names it."""
    properties = child.wait_until_ready()
    return properties | {"device": cuda_device(_gpu(contender, held)) or properties["device"]}


def _gpu(contender: Contender, held: Lease) -> str | None:
    return held.gpu if contender.gpus else None


def _common_gpus(contenders: Sequence[Contender]) -> list[str]:
    """The GPUs that every contender which needs a GPU can use; raises TournamentError if there are none."""
    needed = [each.gpus for each in contenders if each.gpus]
    common = [gpu for gpu in needed[0] if all(gpu in gpus for gpus in needed)] if needed else []
    if needed and not common:
        raise TournamentError("the contenders need different GPUs; they compete on one")
    return common


def _check_same_device(tournament: Tournament, heat: Heat) -> None:
    """Raises TournamentError for contenders on different devices of which none was chosen."""
    devices = {properties["device"]: k for k, properties in heat.properties.items()}
    if len(devices) < 2 or any(each.names_device for each in tournament.contenders):
        return
    where = ", ".join(f"{tournament.contenders[k].name} on {device}" for device, k in devices.items())
    raise TournamentError(
        f"the contenders compute on different devices ({where}): set device=cpu for all, or set the device "
        "of one of them if devices are what you compare"
    )
