"""Stages, one after the other, each in a process of its own that ends at its limit."""

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from harness.measure.clock import seconds as clock
from tests.gpu.prepared import ROOT

LIMIT_SECONDS = 540.0  # of all together; what the stages leave of it is for the table and for packing
GRACE_SECONDS = 8.0  # between asking a stage to end and killing it; at most a quarter of its limit
OWN_SHARE = 0.9  # of what it may take until it is asked to end: what a stage plans with
OK, LATE = "ok", "stopped at its limit"


class Stage(NamedTuple):
    """`seconds` is its limit where all have LIMIT_SECONDS, `command` what Python is told."""

    name: str
    seconds: float
    command: tuple[str, ...]
    what: str = ""


class Ended(NamedTuple):
    """How a stage ended: OK, LATE or what went wrong."""

    name: str
    how: str
    seconds: float
    limit: float


def stage(name: str, seconds: float, what: str) -> Stage:
    """The stage that is the module of that name in this folder."""
    return Stage(name, seconds, ("-m", f"tests.gpu.{name}"), what)


STAGES = (  # in the order of importance
    stage("here", 50, "what is there: card, driver, versions"),
    stage("cuda_tests", 80, "the tests that are skipped without a GPU"),
    stage("parity", 80, "every cell, implementation and precision against the reference"),
    stage("speed", 160, "sessions against bare loops, in turns"),
    stage("runs", 75, "runs by rows of MNIST, with their records"),
    stage("pixels", 70, "permuted pixels, 784 steps, trained as far as the time goes"),
)


@dataclass(frozen=True)
class Job:
    """What a stage is told: on what, how long, where its files go. `quick`: tiny, to see that it works."""

    device: str
    seconds: float
    output: Path
    quick: bool


def job(what: str | None) -> Job:
    """From the command line of a stage."""
    parser = ArgumentParser(description=what)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    given = Job(**vars(parser.parse_args()))
    given.output.mkdir(parents=True, exist_ok=True)
    return given


def finish(command: Sequence[str], seconds: float) -> int:
    """The exit status of Python with these arguments, interrupted after so many seconds."""
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return process.wait()
    except KeyboardInterrupt:  # it got the same, and takes its time to end well
        process.wait()
        raise


def run(
    stages: Sequence[Stage],
    folder: Path,
    *,
    seconds: float = LIMIT_SECONDS,
    arguments: Sequence[str] = (),
    say: Callable[[str], None],
) -> list[Ended]:
    """Runs stages in turn, whatever becomes of each; `seconds` are those of all.

    What a stage leaves of its limit is added to those after it. `arguments` are given to each. What it prints
    goes to `folder/logs`. After Ctrl-C the running stage is stopped and none begins.
    """
    ended: list[Ended] = []
    start = limit = clock()
    for each in stages:
        limit += each.seconds * seconds / LIMIT_SECONDS
        say(f"{each.name}: {each.what}; until {limit - start:.0f} s")
        try:
            ended.append(run_one(each, folder, limit - clock(), arguments))
        except KeyboardInterrupt:
            ended.append(Ended(each.name, "interrupted", 0.0, 0.0))
            break
        say(f"{each.name}: {ended[-1].how}, {ended[-1].seconds:.0f} s")
    return ended


def run_one(stage: Stage, folder: Path, limit: float, arguments: Sequence[str]) -> Ended:
    """Runs one stage; it and all that it started are gone after `limit` seconds."""
    start = clock()
    grace = min(GRACE_SECONDS, limit / 4)
    own = ("--seconds", f"{OWN_SHARE * (limit - grace):.1f}", "--output", str(folder), *arguments)
    log = folder / "logs" / f"{stage.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *stage.command, *own],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(limit - grace)
            how = OK if process.returncode == 0 else f"exit status {process.returncode}"
        except subprocess.TimeoutExpired:
            how = LATE
        finally:
            stop(process, grace)
    return Ended(stage.name, how, clock() - start, limit)


def stop(process: subprocess.Popen, grace: float) -> None:
    """Interrupts a stage that still runs, as Ctrl-C does; kills what is left of it after `grace` seconds."""
    left: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        left = psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for each in left:  # runs have process groups of their own
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
