"""`harness race`: both sides alternate until the ratio is precise or the time is over."""

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

from harness.commands.race import render
from harness.commands.race.plan import overrides, plan
from harness.commands.tournament.comparison import geometric_mean
from harness.commands.tournament.contender_loop import ProcessTree
from harness.commands.tournament.contender_process import ContenderFailed, ContenderProcess
from harness.commands.tournament.result import MINIMUM_HEATS, MINIMUM_ROUNDS, Heat, Rules, Tournament
from harness.commands.tournament.rounds import MODULE
from harness.config.compose import configuration
from harness.launcher.lease import Lease
from harness.launcher.process import environment as child_environment
from harness.measure.machine import cores
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
        children = psutil.Process(process.pid).children()
        if len(children) == 2:
            return children
        time.sleep(0.02)
    raise AssertionError(process.communicate())


@pytest.mark.long
def test_a_race_ends_when_its_interval_is_narrow(harness_command: Shell, tmp_path: Path) -> None:
    output = tmp_path / "race.json"
    sides = ("backend=numpy", "backend=numpy cell=gru, cell.hidden=64")
    done = harness_command("race", *sides, *SMALL, "--precision=0.9", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no line that moves where there is no terminal"
    document = json.loads(output.read_text())
    assert (document["ended"], document["verdict"]) == ("precise", "faster")
    _, second = document["sides"]
    assert [side["config"]["cell"]["name"] for side in document["sides"]] == ["lstm", "gru"]
    assert second["config"]["cell"]["hidden"] == 64
    heats = document["heats"]
    assert len(heats) == MINIMUM_HEATS
    assert len({side["process"] for heat in heats for side in heat["sides"]}) == 2 * MINIMUM_HEATS
    assert {which for heat in heats for which in heat["first"]} == {0, 1}, "a fresh order every round"
    ratios = []
    for heat in heats:
        assert heat["counts"]
        assert sorted(heat["started"]) == [0, 1]
        assert heat["start_seconds"] > 0
        a, b = heat["sides"]
        assert len(heat["first"]) == len(a["seconds"]) == len(b["seconds"]) >= MINIMUM_ROUNDS
        assert a["parity_gradient"] < 1e-4
        each = [
            (a["updates"] / s) / (b["updates"] / t) for s, t in zip(a["seconds"], b["seconds"], strict=True)
        ]
        ratios.append(np.median(each))
        assert heat["ratio"] == pytest.approx(ratios[-1])
    assert document["ratio"]["mean"] == pytest.approx(np.exp(np.mean(np.log(ratios))))
    assert document["half_width"] <= 0.9
    assert re.fullmatch(
        r"backend=numpy is [\d.]+ times as fast as backend=numpy cell=gru, cell.hidden=64 \[.+\]: faster",
        done.stdout.splitlines()[0],
    )
    assert f"{MINIMUM_HEATS} heats with new processes each, " in done.stdout
    assert "1 shard" in done.stdout
    assert "distance from the reference: loss " in done.stdout


def test_time_that_is_up_ends_a_race_and_both_sides_may_be_the_same(harness_command: Shell) -> None:
    done = harness_command("race", NUMPY, NUMPY, *SMALL, "--precision=1e-9", "--seconds=0.05")
    assert done.returncode == 0, done.stderr
    assert "backend=numpy (first) is " in done.stdout
    assert "times as fast as backend=numpy (second): cannot tell" in done.stdout
    assert "95 % interval unknown from a single heat; --seconds 0.05 are over." in done.stdout


def until(said: bytes, terminal: int) -> bytes:
    """What a terminal shows until it shows that."""
    shown = b""
    while said not in shown:
        shown += os.read(terminal, 65536)
    threading.Thread(target=drain, args=(terminal,), daemon=True).start()
    return shown


@pytest.mark.parametrize(
    ("sign", "when"),
    [
        (signal.SIGINT, b"heat 1, round 3"),
        pytest.param(signal.SIGTERM, b"heat 1, round 3", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, b"heat 2: st", marks=pytest.mark.long),
    ],
)
def test_stopping_shows_what_was_measured(sign: signal.Signals, when: bytes) -> None:
    """On a terminal, whose line says how far it is; also while the sides of another heat start."""
    ours, theirs = pty.openpty()
    with racing(NUMPY, NUMPY, "--precision=1e-9", stderr=theirs) as process:
        os.close(theirs)
        shown = until(when, ours)
        sides = psutil.Process(process.pid).children()
        process.send_signal(sign)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert re.search(rb"round 3, \d+ of at most 300 s: backend=numpy \(first\) is [\d.]+ times", shown)
    assert re.search(
        r"1 heat with new processes each, \d+ rounds with a window of each side.*; stopped\.", out
    )
    _, alive = psutil.wait_procs(sides, timeout=5)
    assert alive == []


@pytest.mark.long
def test_a_side_that_dies_in_a_later_heat_leaves_what_was_measured() -> None:
    ours, theirs = pty.openpty()
    with racing(NUMPY, NUMPY, "--precision=1e-9", stderr=theirs) as process:
        os.close(theirs)
        until(b"heat 2, round 1", ours)
        os.kill(sides_of(process)[0].pid, signal.SIGSEGV)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "1 heat with new processes each, " in out or "2 heats with new processes each, " in out
    assert "a side failed: backend=numpy: SIGSEGV: no output." in out


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


def side_process() -> ContenderProcess:
    config = configuration([NUMPY, *SMALL])
    held = cores()[:1]
    job = {"config": config.to_mapping(), "cores": held, "window_seconds": 0.01}
    return ContenderProcess(MODULE, job, child_environment(config, Lease(tuple(held), None)))


def test_a_side_that_waits_uses_no_core_and_one_that_hangs_is_given_up() -> None:
    with side_process() as side:
        side.wait_until_ready()
        assert side.time_window() > 0
        process = psutil.Process(side.process.pid)
        before = process.cpu_times()
        time.sleep(0.5)
        after = process.cpu_times()
        assert after.user + after.system - before.user - before.system < 0.05
        process.suspend()
        side.timeout_seconds = 0.2
        with pytest.raises(ContenderFailed, match="no answer for 0 s"):
            side.time_window()


BURN = """
import sys, time
end = time.time() + int(sys.argv[1]) / 10
print(flush=True)
while time.time() < end:
    pass
sys.stdin.read()
"""


@pytest.mark.alone
@pytest.mark.parametrize(("tenths", "least", "most"), [("0", 0.0, 0.3), ("3", 0.2, 0.45), ("600", 0.5, 0.7)])
def test_a_turn_is_over_when_all_that_a_side_started_sleeps(tenths: str, least: float, most: float) -> None:
    """Or when there is no more patience."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BURN, tenths], **pipes) as child:
        assert child.stdout is not None
        child.stdout.readline()
        processes = ProcessTree()
        start = time.perf_counter()
        processes.wait_until_asleep()
        taken = time.perf_counter() - start
        child.kill()
    assert least <= taken <= most


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
            "--output /nowhere/race.json: /nowhere is not a directory",
        ),
        ((NUMPY, NUMPY, "--output=docs"), "--output docs: is a directory"),
        ((NUMPY, NUMPY, "--output=/dev/null"), "--output /dev/null: exists and is not a file"),
    ],
)
def test_bad_input_is_one_clear_message(
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from harness.commands import cli

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


def test_a_side_that_adds_nothing_has_a_name() -> None:
    assert [side.name for side in plan(" ", NUMPY, SMALL)] == ["as configured", NUMPY]


def raced(*heats: list[float]) -> Tournament:
    """A race whose rounds have these ratios, heat by heat."""
    race = Tournament(plan(NUMPY, NUMPY, SMALL), Rules(0.02, 300.0))
    properties = {k: {"updates": 1, "batch_size": 1} for k in (0, 1)}
    race.heats = [
        Heat([0, 1], properties=properties, rounds=[{0: 1.0, 1: ratio} for ratio in ratios])
        for ratios in heats
    ]
    return race


def test_the_interval_is_wide_enough_for_who_stops_when_it_is_narrow() -> None:
    """Heats are added until the half width is 1.5 %: then the interval has the true ratio, 1, in 95 %."""
    rng = np.random.default_rng(0)
    contains = 0
    for _ in range(1000):
        each = np.exp(0.02 * rng.standard_normal(100))
        for heats in range(MINIMUM_HEATS, 100):
            mean = geometric_mean(list(each[:heats]))
            assert mean.low is not None
            assert mean.high is not None
            if mean.half_width is not None and mean.half_width <= 0.015:
                break
        contains += mean.low <= 1 <= mean.high
    assert contains >= 0.95 * 1000


def test_more_rounds_of_the_same_processes_make_no_interval_narrower() -> None:
    few, many = (raced(*([ratio] * rounds for ratio in (0.98, 1.01, 1.02))) for rounds in (5, 500))
    assert few.ratio(0, 1) == many.ratio(0, 1)
    assert few.ratio(0, 1).low is not None
    assert few.ratio(0, 1).low < 0.95


def test_a_heat_that_was_cut_short_counts_only_where_there_is_no_other() -> None:
    assert raced([1.0] * 5, [1.1] * 5, [9.0] * 4).ratio(0, 1) == raced([1.0] * 5, [1.1] * 5).ratio(0, 1)
    assert raced([2.0] * 4).ratio(0, 1).mean == pytest.approx(2)


def test_a_verdict_needs_an_interval() -> None:
    assert render.verdict(raced([2.0] * 100)) == "cannot tell"
    assert render.verdict(raced([2.0] * 5, [2.01] * 5)) == "faster"
    assert render.verdict(raced([0.5] * 5, [0.51] * 5)) == "slower"
    assert render.verdict(raced([0.9] * 5, [1.2] * 5)) == "cannot tell"
