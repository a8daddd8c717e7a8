"""Races: both sides as a run would be, in turns, until the ratio is known or the time is up."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from harness.api import configuration
from harness.environment import cores
from harness.launcher.lease import Lease
from harness.launcher.process import environment as child_environment
from harness.measure.statistics import estimate
from harness.race import show
from harness.race.contender import Contender, SideFailed
from harness.race.course import LEVEL, MODULE, Race
from harness.race.plan import overrides, plan
from tests.conftest import ROOT, Shell, environment

SMALL = ("data=digits", "cell.hidden=8", "threads=1", "measure.window_seconds=0.01", "train.batch_size=32")
NUMPY = "backend=numpy"


def racing(*arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness", "race", *arguments, *SMALL]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=stderr, text=True
    )


def sides_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Both sides, as soon as they are there."""
    while process.poll() is None:
        found = psutil.Process(process.pid).children()
        if len(found) == 2:
            return found
        time.sleep(0.02)
    raise AssertionError(process.communicate())


def test_a_race_ends_when_its_interval_is_narrow(harness_command: Shell, tmp_path: Path) -> None:
    output = tmp_path / "race.json"
    sides = ("backend=numpy", "backend=numpy cell=gru, cell.hidden=64")
    done = harness_command("race", *sides, *SMALL, "--precision=0.9", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no line that moves where there is no terminal"
    found = json.loads(output.read_text())
    assert (found["ended"], found["verdict"]) == ("precise", "faster")
    first, second = found["sides"]
    assert [side["config"]["cell"]["name"] for side in found["sides"]] == ["lstm", "gru"]
    assert second["config"]["cell"]["hidden"] == 64
    assert first["process"] != second["process"]
    assert first["parity_gradient"] < 1e-4
    assert len(found["first"]) == len(first["seconds"]) == len(second["seconds"]) >= 12
    assert set(found["first"]) == {0, 1}, "a fresh order every round: the same one 12 times 1 in 2^11"
    each = [
        (first["updates"] / s) / (second["updates"] / t)
        for s, t in zip(first["seconds"], second["seconds"], strict=True)
    ]
    assert found["ratio"]["median"] == pytest.approx(np.median(each))
    assert found["half_width"] <= 0.9
    words = done.stdout.splitlines()[0]
    assert re.fullmatch(
        r"backend=numpy is [\d.]+ times as fast as backend=numpy cell=gru, cell.hidden=64 \[.+\]: faster",
        words,
    )
    assert "1 shard" in done.stdout
    assert "distance from the reference: loss " in done.stdout


def test_time_that_is_up_ends_a_race_and_both_sides_may_be_the_same(harness_command: Shell) -> None:
    done = harness_command("race", NUMPY, NUMPY, *SMALL, "--precision=1e-9", "--seconds=0.5")
    assert done.returncode == 0, done.stderr
    assert "backend=numpy (first) is " in done.stdout
    assert "times as fast as backend=numpy (second): cannot tell" in done.stdout
    assert "too few for an interval; --seconds 0.5 are up." in done.stdout


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopping_shows_what_was_measured(sign: signal.Signals) -> None:
    """On a terminal, whose line says how far it is."""
    ours, theirs = pty.openpty()
    with racing(NUMPY, NUMPY, "--precision=1e-9", stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while b"round 3" not in said:
            said += os.read(ours, 65536)
        sides = sides_of(process)
        process.send_signal(sign)
        threading.Thread(target=drain, args=(ours,), daemon=True).start()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert re.search(rb"round 3, \d+ of at most 300 s: backend=numpy \(first\) is [\d.]+ times", said)
    assert re.search(r"[3-9] rounds of a window each.*; stopped\.", out)
    _, alive = psutil.wait_procs(sides, timeout=5)
    assert alive == []


def drain(fd: int) -> None:
    """Reads a terminal to its end, so that nobody waits for it."""
    with suppress(OSError):
        while os.read(fd, 65536):
            pass
    os.close(fd)


def test_a_side_that_dies_says_how() -> None:
    with racing(NUMPY, NUMPY, "--precision=1e-9") as process:
        os.kill(sides_of(process)[1].pid, signal.SIGSEGV)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "backend=numpy: SIGSEGV: no output" in error


def test_a_side_that_cannot_start_says_why(
    harness_command: Shell, shadow: Callable[[str, str], dict[str, str]]
) -> None:
    broken = shadow("torch", "raise ImportError('libtorch.so is broken')")
    done = harness_command("race", NUMPY, "backend=torch", *SMALL, env=broken)
    assert done.returncode == 1
    assert done.stderr.startswith("backend=torch: torch cannot start here (ImportError: libtorch.so is")
    assert done.stdout == ""


def contender() -> Contender:
    config = configuration([NUMPY, *SMALL])
    held = cores()[:1]
    job = {"config": config.to_mapping(), "cores": held, "window_seconds": 0.01}
    return Contender(MODULE, job, child_environment(config, Lease(tuple(held), None)))


def test_a_side_that_waits_uses_no_core_and_one_that_hangs_is_given_up() -> None:
    with contender() as side:
        side.ready()
        assert side.window() > 0
        process = psutil.Process(side.process.pid)
        before = process.cpu_times()
        time.sleep(0.5)
        after = process.cpu_times()
        assert after.user + after.system - before.user - before.system < 0.05
        process.suspend()
        side.patience = 0.2
        with pytest.raises(SideFailed, match="no answer for 0 s"):
            side.window()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backend=torc", NUMPY), "torc"),
        ((NUMPY, NUMPY, "cell.hidden=0"), "cell.hidden=0"),
        ((NUMPY, NUMPY, "mode=stream", "weights=some.safetensors"), "mode='stream': a race times updates"),
        ((NUMPY, NUMPY, "threads=4096"), "threads=4096: this process may use"),
        ((NUMPY, NUMPY, "--precision=0"), "--precision 0: must be above 0"),
        ((NUMPY, NUMPY, "--seconds=-1"), "--seconds -1: must be above 0"),
        (
            (NUMPY, NUMPY, "--output=/nowhere/race.json"),
            "--output /nowhere/race.json: /nowhere is no directory",
        ),
    ],
)
def test_bad_input_is_one_clear_message(
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from harness import cli

    monkeypatch.setattr("sys.argv", ["harness", "race", *arguments, "data=digits"])
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    signal.signal(signal.SIGTERM, handler)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_overrides_of_a_side_are_parted_by_blanks_or_commas() -> None:
    assert overrides("backend=keras backend.engine=jax,cell=gru") == [
        "backend=keras",
        "backend.engine=jax",
        "cell=gru",
    ]
    assert overrides("measure.targets=[0.9,0.95]") == ["measure.targets=[0.9,0.95]"]


def raced(ratios: list[float]) -> Race:
    found = Race(plan(NUMPY, NUMPY, SMALL), 0.02, 300.0)
    found.facts = [{"updates": 1, "batch_size": 1}] * 2
    found.seconds = [(1.0, ratio) for ratio in ratios]
    return found


def test_the_interval_is_wide_enough_for_who_stops_when_it_is_narrow() -> None:
    """Rounds are added until the half width is 3 %: then the interval has the true ratio, 1, in 95 %."""
    rng = np.random.default_rng(0)
    contains = 0
    for _ in range(300):
        each = np.exp(0.05 * rng.standard_normal(400))
        for rounds in range(12, 400):
            found = estimate(each[:rounds], LEVEL)
            if (found.high - found.low) / 2 / found.median <= 0.03:
                break
        contains += found.low <= 1 <= found.high
    assert contains >= 0.94 * 300


def test_a_verdict_needs_an_interval() -> None:
    assert show.verdict(raced([2.0] * 3)) == "cannot tell"
    assert show.verdict(raced([2.0] * 12)) == "faster"
    assert show.verdict(raced([0.5] * 12)) == "slower"
    assert show.verdict(raced([0.5, 2.0] * 6)) == "cannot tell"
