"""`harness tournament`: all configurations of a sweep in turns, until they are told apart."""

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

import psutil
import pytest

from harness.commands.tournament.plan import plan
from harness.commands.tournament.result import MINIMUM_HEATS
from harness.errors import HarnessError
from harness.launcher.key import run_key
from harness.report.table.groups import group
from harness.store import attempts, frames
from tests.conftest import ROOT, Shell, environment
from tests.support.records import frame, record

SMALL = ("data=digits", "threads=1", "measure.window_seconds=0.005", "train.batch_size=32")
HIDDEN = "cell.hidden=8,128"


@pytest.mark.long
def test_the_faster_one_wins_and_every_command_reads_the_records(
    harness_command: Shell, results: Path, tmp_path: Path
) -> None:
    output, picture = tmp_path / "tournament.json", tmp_path / "ranking.svg"
    stored = (f"--results={results}", f"--output={output}", f"--plot={picture}")
    done = harness_command(
        "tournament", "backend=numpy", HIDDEN, *SMALL, "--group=cell", "--seconds=6", *stored
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no line that moves where there is no terminal"
    assert re.match(
        r"cell.hidden=8 is the fastest: [\d.]+ times as fast as cell.hidden=128 \[.+\]", done.stdout
    )
    assert "all others are told apart from the fastest" in done.stdout
    assert re.search(r"\| 1 +\| cell.hidden=8 +\| +1.000 \| .* \| +a \| +loop", done.stdout)
    assert re.search(r"\| 2 +\| cell.hidden=128 +\| +0.\d+ \| .* \| +b \| +loop", done.stdout)
    assert "<svg" in picture.read_text()
    assert "cell.hidden=128" in picture.read_text()

    (document,) = json.loads(output.read_text())["groups"]
    assert document["ended"] == "decided"
    assert [each["letters"] for each in document["ranking"]] == ["a", "b"]
    heats = document["heats"]
    assert len(heats) >= MINIMUM_HEATS
    assert len({p["process"] for heat in heats for p in heat["properties"].values()}) == 2 * len(heats)
    assert {tuple(order) for heat in heats for order in heat["orders"]} == {(0, 1), (1, 0)}

    runs = frames.load(results)
    assert len(runs) == 2 * len(heats)
    assert set(runs["status"]) == {"ok"}
    assert set(runs["mode"]) == {"throughput"}
    for heat, (_, row) in zip(heats, runs[runs["hidden"] == 8].iterrows(), strict=True):
        assert [window["seconds"] for window in row["timing"]["windows"]] == heat["seconds"]["0"]
        assert row["train_throughput_low"] <= row["train_throughput"] <= row["train_throughput_high"]
        assert row["parity_gradient"] < 1e-4
    table = harness_command("table", f"--results={results}", "--by=hidden")
    assert re.search(rf"\| 8 .*\| +{len(heats)} \|", table.stdout), table.stdout
    compared = harness_command("compare", "hidden=8", "hidden=128", f"--results={results}", "--force")
    assert compared.returncode == 0, compared.stderr
    assert re.search(r"^hidden=8 is [\d.]+ times as fast as hidden=128 ", compared.stdout, re.MULTILINE)
    page = harness_command("report", str(tmp_path / "report.html"), f"--results={results}")
    assert page.returncode == 0, page.stderr


@pytest.mark.long
def test_a_run_is_not_complete_because_a_tournament_timed_its_configuration(
    harness_command: Shell, results: Path
) -> None:
    sweep = ("backend=numpy,numpy", "cell.hidden=8", *SMALL)
    done = harness_command("tournament", *sweep, "--seconds=0.8", f"--results={results}")
    assert re.match(r"as configured \([12]\) and as configured \([12]\) cannot be told apart", done.stdout)
    assert "--seconds 0.8 are over" in done.stdout
    (group,) = plan(sweep)
    assert [each.name for each in group.contenders] == ["as configured (1)", "as configured (2)"]
    assert len(frames.load(results)) >= 2
    for each in group.contenders:
        key = run_key(each.config, each.threads)
        assert attempts.find_complete(results, key, with_weights=False) is None


def test_heats_share_a_row_with_those_of_their_tournament_alone() -> None:
    started = [None, "2026-01-01", "2026-01-01", "2026-01-02"]
    made = [
        record("ok", None, f"seed={k}", details={"tournament": {"started": each}} if each else {})
        for k, each in enumerate(started)
    ]
    table = group(frame(*made), ["backend"], ["train_throughput"]).table
    assert dict(zip(table["tournament"], table["n"], strict=True)) == {
        "": 1,
        "2026-01-01": 2,
        "2026-01-02": 1,
    }


def test_those_that_fail_are_out_and_the_others_go_on(
    harness_command: Shell, results: Path, shadow: Callable[[str, str], dict[str, str]]
) -> None:
    """One whose package cannot be imported, one that diverges, one that lacks the implementation."""
    broken = shadow("torch", "raise ImportError('libtorch.so is broken')")
    sweep = (
        "+contender=numpy_loop,torch_loop,keras_jax_fused",
        "cell=indrnn",
        "cell.hidden=8,16",
        *SMALL,
        "--group=cell",
        "--seconds=0.5",
        f"--results={results}",
    )
    done = harness_command("tournament", *sweep, env=broken)
    assert done.returncode == 1
    assert "+contender=torch_loop cell.hidden=8: skipped: torch cannot start here (ImportError" in done.stdout
    assert "+contender=keras_jax_fused cell.hidden=16: skipped: " in done.stdout
    assert re.search(r"\| 1 +\| \+contender=numpy_loop cell.hidden=(8|16) ", done.stdout)
    runs = frames.load(results)
    skipped = runs[runs["status"] == "skipped"]
    assert sorted(skipped["backend"]) == ["keras", "keras", "torch", "torch"]
    assert skipped["reason"].str.contains("libtorch.so is broken|no fused indrnn").all()


@pytest.mark.long
def test_one_that_diverges_has_a_record_that_says_so(harness_command: Shell, results: Path) -> None:
    sweep = ("backend=numpy", "train.learning_rate=0.001,1000", "train.optimizer=sgd", "seed=0,1")
    wild = ("cell=indrnn", "cell.hidden=8", *SMALL)
    done = harness_command("tournament", *sweep, *wild, "--seconds=0.5", f"--results={results}")
    assert done.returncode == 1
    assert "train.learning_rate=1000 seed=0: diverged: the training loss was no longer finite" in done.stdout
    assert set(frames.load(results)["status"]) == {"ok", "diverged"}


def competing(*arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness", "tournament", *arguments, *SMALL]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=stderr, text=True
    )


def drain(fd: int) -> None:
    """Reads a terminal to its end, so that nobody waits for it."""
    with suppress(OSError):
        while os.read(fd, 65536):
            pass
    os.close(fd)


@pytest.mark.long
def test_a_kill_takes_one_out_and_stopping_shows_the_ranking_so_far(results: Path) -> None:
    ours, theirs = pty.openpty()
    with competing(
        "backend=numpy", "cell.hidden=8", "seed=0,1,2", f"--results={results}", stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while b"heat 1, round 6" not in shown:
            shown += os.read(ours, 65536)
        children = psutil.Process(process.pid).children()
        assert len(children) == 3, "all are resident"
        killed = min(children, key=lambda child: child.create_time())
        killed.kill()
        while b"2 of 3 still in" not in shown:
            shown += os.read(ours, 65536)
        while b"round 12" not in shown:
            shown += os.read(ours, 65536)
        threading.Thread(target=drain, args=(ours,), daemon=True).start()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(
        rb"round 6, 3 of 3 still in, \d+ of at most 600 s; fastest so far: seed=\d, seed=\d", shown
    )
    assert "1 heat with new processes each" in out
    assert "; stopped." in out
    assert re.search(r"- seed=\d: crashed: SIGKILL: no output", out)
    assert len(re.findall(r"^\| \d ", out, re.MULTILINE)) == 2
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    assert sorted(frames.load(results)["status"]) == ["crashed", "ok", "ok"]


@pytest.mark.long
def test_contenders_of_different_groups_do_not_compete(harness_command: Shell, results: Path) -> None:
    sweep = ("backend=numpy", "cell=gru,rnn", "seed=0,1", "cell.hidden=8")
    done = harness_command("tournament", *sweep, *SMALL, "--seconds=0.5", f"--results={results}")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^cell=gru: seed=\d and seed=\d cannot be told apart", done.stdout, re.MULTILINE)
    assert re.search(r"^cell=rnn: seed=\d and seed=\d cannot be told apart", done.stdout, re.MULTILINE)


def test_groups_are_alike_in_the_keys_that_are_named() -> None:
    sweep = ("backend=numpy,torch", "cell=gru,rnn", "train.batch_size=32,64", "data=digits", "threads=1")

    def named(group: str | None) -> dict[str, list[str]]:
        return {each.name: [c.name for c in each.contenders] for each in plan(sweep, group)}

    assert named(None)["cell=gru train.batch_size=32"] == ["backend=numpy", "backend=torch"]
    assert len(named(None)) == 4
    assert list(named("cell.name")) == list(named("cell")) == ["cell=gru", "cell=rnn"]
    assert named("backend,cell.name")["backend=torch cell=rnn"] == [
        "train.batch_size=32",
        "train.batch_size=64",
    ]
    (alone,) = named("").items()
    assert alone[0] == ""
    assert len(alone[1]) == 8


def test_the_answer_is_every_implementation_of_every_backend() -> None:
    (group,) = plan(["+experiment=answer", "data=digits", "cell=gru"])
    assert len(group.contenders) == 13
    assert {each.config.cell.name for each in group.contenders} == {"gru"}
    assert {each.config.mode for each in group.contenders} == {"throughput"}
    assert "contender=keras_jax_compiled" in [each.name for each in group.contenders]


def test_a_dry_run_lists_the_contenders_and_writes_nothing(harness_command: Shell, results: Path) -> None:
    sweep = ("backend=numpy,torch", "cell=gru,rnn", "sweep.dry_run=true", f"--results={results}")
    done = harness_command("tournament", *sweep, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cell=gru:\n- backend=numpy: numpy gru-128 digits row batch 32\n")
    assert not results.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backend=numpy",), "one configuration: has nobody to compete with; --group names the keys"),
        (("backend=numpy,torc",), "torc"),
        (("backend=numpy,torch", "cell.hidden=0"), "cell.hidden=0"),
        (
            ("backend=numpy,torch", "--group=colour"),
            "--group colour: 'colour' is neither a",
        ),
        (("backend=numpy,torch", "cell=echo_state", "train.solver=ridge"), "a tournament times updates"),
        (
            ("backend=numpy,torch", "logger=tensorboard"),
            "logger.name='tensorboard': a tournament",
        ),
        (
            ("backend=numpy,torch", "hydra/sweeper=optuna", "objective=val_accuracy"),
            "a search chooses one",
        ),
        (("backend=numpy,torch", "--precision=0"), "--precision 0: must be above 0"),
        (("backend=numpy,torch", "--seconds=-1"), "--seconds -1: must be above 0"),
        (("backend=numpy,torch", "--plot=x.gif"), "--plot x.gif: must end in .svg, .png or .pdf"),
        (("backend=numpy,torch", "--output=docs"), "--output docs: is a directory"),
        (("backend=numpy,torch", "threads=4096"), "threads=4096: this process may use"),
    ],
)
def test_bad_input_is_one_clear_message(
    harness_command: Shell, results: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = harness_command("tournament", *arguments, "data=digits", f"--results={results}")
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_too_little_memory_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.commands.tournament import command, memory

    (group,) = plan(["backend=numpy", "cell.hidden=8", "seed=0,1", *SMALL])
    least = sum(map(memory._least_bytes, group.contenders))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": least - 1}))
    handler = signal.getsignal(signal.SIGTERM)
    began = time.perf_counter()
    options = {"group": None, "precision": 0.02, "limit": 1.0, "output": None, "picture": None}
    with pytest.raises(HarnessError, match="memory: the data and weights of 2 contenders need"):
        command.main(["backend=numpy", "cell.hidden=8", "seed=0,1", *SMALL], results=str(results), **options)
    signal.signal(signal.SIGTERM, handler)
    assert time.perf_counter() - began < 2
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 3.9e9}))
    ready = [{"memory_bytes": 1e9}, {"memory_bytes": 3e9}]
    memory.check_rest(ready, 1)
    with pytest.raises(HarnessError, match=r"hold 4.0 GB, and 2 more would need 4.0 GB, of which 3.9"):
        memory.check_rest(ready, 2)
