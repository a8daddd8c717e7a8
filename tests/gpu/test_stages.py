"""Stages follow one another whatever becomes of them, and the command says what it needs."""

import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, environment
from tests.gpu import command, stages
from tests.gpu.stages import LATE, LIMIT_SECONDS, OK, STAGES, Stage

# writes the process id of a child in a session of its own, as that of a run is, and waits for it
STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""


def python(name: str, code: str, seconds: float = 20.0) -> Stage:
    return Stage(name, seconds, ("-c", code))


def run(folder: Path, *fakes: Stage) -> list[stages.Ended]:
    return stages.run(fakes, folder, say=lambda text: None)


def test_a_stage_that_fails_does_not_stop_the_next_one(tmp_path: Path) -> None:
    ended = run(tmp_path, python("broken", "raise SystemExit(3)"), python("good", "print('done')"))
    assert [(each.name, each.how) for each in ended] == [("broken", "exit status 3"), ("good", OK)]
    assert (tmp_path / "logs" / "good.log").read_text() == "done\n"


def test_a_stage_that_overruns_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    start = time.monotonic()
    ended = run(tmp_path, python("stubborn", STUBBORN, 2.0), python("good", ""))
    assert [each.how for each in ended] == [LATE, OK]
    assert 1.5 <= ended[0].seconds <= 2.5
    assert time.monotonic() - start < 6
    child = int((tmp_path / "logs" / "stubborn.log").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_what_a_stage_leaves_of_its_time_is_the_next_ones(tmp_path: Path) -> None:
    ended = run(tmp_path, python("short", "", 10.0), python("long", "", 10.0))
    assert ended[0].limit == pytest.approx(10, abs=0.5)
    assert ended[1].limit == pytest.approx(20 - ended[0].seconds, abs=0.5)


def test_seconds_scale_every_limit(tmp_path: Path) -> None:
    fakes = [python("one", "", 54.0)]
    (ended,) = stages.run(fakes, tmp_path, seconds=LIMIT_SECONDS / 10, say=lambda text: None)
    assert ended.limit == pytest.approx(5.4, abs=0.1)


def test_a_stage_is_told_how_long_it_may_plan_for(tmp_path: Path) -> None:
    told = python("told", "import sys; print(*sys.argv[1:])", 40.0)
    stages.run([told], tmp_path, arguments=["--device", "cpu"], say=lambda text: None)
    words = (tmp_path / "logs" / "told.log").read_text().split()
    assert words[0] == "--seconds"
    assert float(words[1]) == pytest.approx(0.9 * (40 - 8), abs=0.2)
    assert words[2:] == ["--output", str(tmp_path), "--device", "cpu"]


def test_all_of_it_takes_less_than_nine_minutes() -> None:
    assert LIMIT_SECONDS == 9 * 60
    assert sum(stage.seconds for stage in STAGES) <= LIMIT_SECONDS - 20, "packing and the table take time"
    assert [stage.name for stage in STAGES] == ["here", "cuda_tests", "parity", "speed", "runs", "pixels"]
    for stage in STAGES:
        assert (ROOT / "tests" / "gpu" / f"{stage.name}.py").exists()


def typed(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m tests.gpu …` on a machine without a GPU."""
    return subprocess.run(
        [sys.executable, "-m", "tests.gpu", *arguments],
        cwd=ROOT,
        env=environment(**{"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT), **env}),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_a_gpu_it_says_so_and_ends_with_2() -> None:
    done = typed()
    assert done.returncode == 2
    assert done.stderr == "make gpu needs an NVIDIA GPU: device=cuda: no such CUDA device; available: cpu\n"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("parityy",), "no stage 'parityy'; there are here, cuda_tests, parity, speed, runs, pixels"),
        (("--seconds=0",), "--seconds=0: must be more than 0"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], message: str) -> None:
    done = typed(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_without_a_package_that_nobody_prepared_it_says_so(
    shadow: Callable[[str, str], dict[str, str]],
) -> None:
    done = typed(**shadow("hydra", """raise ModuleNotFoundError("No module named 'hydra'")"""))
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith("make gpu: No module named 'hydra'; python tests/gpu/pack.py prepares")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`make …` as a person types it, also where make runs these tests."""
    if shutil.which("make") is None:
        pytest.skip("make is missing")
    env = environment(CUDA_VISIBLE_DEVICES="", PYTHONPATH=str(ROOT))
    for name in ("PYTHON", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        env.pop(name, None)
    command = ["make", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "python"), [(("PYTHON=python3.99",), "python3.99"), ((), "somewhere/bin/python")]
)
def test_make_takes_the_interpreter_that_it_is_given(arguments: tuple[str, ...], python: str) -> None:
    done = make("--dry-run", "gpu", "VENV=somewhere", "ARGS=parity --seconds 9", *arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].split() == [python, "-m", "tests.gpu", "parity", "--seconds", "9"]
    assert (len(lines) == 1) == bool(arguments), "an interpreter that is given is left as it is"


def test_make_gpu_without_a_gpu_is_one_sentence() -> None:
    done = make("gpu", f"PYTHON={sys.executable}")
    said, by_make = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert said == "make gpu needs an NVIDIA GPU: device=cuda: no such CUDA device; available: cpu"
    assert by_make.startswith("make: ")


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command with stages of the test's own, on the CPU; its files are below `results` and `out`."""

    def call(*stages: Stage) -> int:
        monkeypatch.setattr(command, "STAGES", stages)
        monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
        monkeypatch.setattr("sys.argv", ["gpu", "--device=cpu", f"--output={tmp_path / 'out'}"])
        return command.main()

    return call


def test_everything_ends_in_one_file_and_a_table(
    fakes: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fakes(python("broken", "raise SystemExit('no kernel image')"), python("good", "")) == 1
    (packed,) = (tmp_path / "out").iterdir()
    with tarfile.open(packed) as archive:
        assert {"./manifest.json", "./summary.md", "./logs/broken.log"} <= set(archive.getnames())
        manifest = archive.extractfile("./manifest.json")
        assert manifest is not None
        found = json.load(manifest)
    assert found["device"] == "cpu"
    assert [stage["how"] for stage in found["stages"]] == ["exit status 1", OK]
    printed = capsys.readouterr().out
    assert "| broken | exit status 1 |" in printed
    assert printed.endswith(f"{packed}\n")


def test_all_good_is_0(fakes: Callable[..., int]) -> None:
    assert fakes(python("good", "")) == 0
