"""The same sweep with every executor: whatever dies, every run is a row, and the others are made."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from harness.config.compose import configuration
from harness.measure.machine import cores
from harness.store.record import RunRecord
from harness.sweep.executors.joblib import max_concurrent
from harness.sweep.task import Task
from tests.conftest import Shell
from tests.support.children import Shadow, sabotage
from tests.support.sweeps import await_, command, in_seed_one, records, statuses

pytestmark = pytest.mark.usefixtures("own_leases")

PACKAGES = {"joblib": "joblib", "submitit_local": "submitit"}  # for Ray see test_ray


def launchers(*names: str) -> list[object]:
    """Launchers as parameters of a test, skipped where their package is missing."""
    return [
        pytest.param(
            name,
            marks=[
                pytest.mark.skipif(
                    name in PACKAGES and find_spec(PACKAGES[name]) is None,
                    reason=f"pip install -c constraints.txt {PACKAGES.get(name)}",
                ),
                *([pytest.mark.long] if name == "submitit_local" else ()),
            ],
        )
        for name in names
    ]


ELSEWHERE = launchers("joblib", "submitit_local")


@pytest.mark.parametrize("launcher", [pytest.param("basic", marks=pytest.mark.long), *ELSEWHERE])
def test_children_that_die_are_rows_and_the_others_are_made(
    run: Shell, results: Path, shadow: Shadow, launcher: str
) -> None:
    signs = {1: "SIGSEGV", 3: "SIGKILL"}
    code = f"""
import os, signal
import harness.runner.run as runner
run = runner.run
def broken(job, emit):
    if job.config.seed in {signs}:
        os.kill(os.getpid(), getattr(signal, {signs}[job.config.seed]))
    run(job, emit)
runner.run = broken
"""
    done = run(
        "-m", "backend=numpy", "seed=0,1,2,3", f"hydra/launcher={launcher}", env=sabotage(shadow, code)
    )
    assert done.returncode == 1, done.stderr
    found = records(results)
    assert [found[seed].status for seed in range(4)] == ["ok", "crashed", "ok", "crashed"]
    for seed, sign in signs.items():
        assert sign in str(found[seed].reason)
        assert f"| crashed | ended by {sign}" in done.stdout
    assert "Traceback" not in done.stderr
    for seed in range(4):
        ended = "crashed" if seed in signs else "ok"
        assert f"[{seed + 1}/4] numpy lstm-8 digits row seed {seed}: {ended}: " in done.stderr


def children_of(pid: int) -> list[psutil.Process]:
    """The children of runs anywhere below a process."""
    return [child for child in psutil.Process(pid).children(recursive=True) if makes_a_run(child)]


def makes_a_run(process: psutil.Process) -> bool:
    try:
        return "harness.runner" in process.cmdline()
    except psutil.Error:  # it has just ended
        return False


@pytest.mark.long
@pytest.mark.parametrize("launcher", ELSEWHERE)
def test_a_worker_that_is_killed_is_a_row(results: Path, shadow: Shadow, launcher: str) -> None:
    env = sabotage(shadow, in_seed_one("time.sleep(600)"))
    process = command(results, launcher, "backend=numpy", "seed=1,2,3,4", "threads=1", env=env)

    def others_are_over() -> bool:
        found = statuses(results)
        return 0 in found and found[0].key is not None and sum(e.status == "ok" for e in found.values()) == 3

    await_(others_are_over, process)
    os.kill(statuses(results)[0].pid, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    found = records(results)
    assert {seed: record.status for seed, record in found.items()} == {
        1: "crashed",
        2: "ok",
        3: "ok",
        4: "ok",
    }
    assert found[1].reason == "its process ended without reporting a result"
    assert "its process ended without reporting a result" in out
    assert "Traceback" not in err


@pytest.mark.long
@pytest.mark.skipif(len(cores()) < 2, reason="one core only")
def test_runs_that_had_not_started_are_made_when_joblibs_processes_die(results: Path, shadow: Shadow) -> None:
    env = sabotage(shadow, in_seed_one("time.sleep(600)"))
    options = ("hydra.launcher.n_jobs=2", "backend=numpy", "seed=1,2", "init=keras,torch")
    process = command(results, "joblib", *options, env=env)
    await_(lambda: len([e for e in statuses(results).values() if e.key]) == 2, process)
    os.kill(statuses(results)[0].pid, signal.SIGKILL)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1, err
    found = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    assert sorted((r.seed, r.status) for r in found) == [(1, "crashed"), (1, "crashed"), (2, "ok"), (2, "ok")]
    assert out.count("its process ended without reporting a result") == 2


@pytest.mark.long
@pytest.mark.parametrize("launcher", launchers("joblib"))
def test_joblib_ends_the_runs_of_a_killed_command_and_the_same_command_makes_them(
    results: Path, shadow: Shadow, launcher: str
) -> None:
    env = sabotage(shadow, in_seed_one("time.sleep(600)"))
    process = command(results, launcher, "backend=numpy", "seed=1", "init=keras,torch", env=env)
    here = min(2, len(cores()))
    await_(lambda: len([entry for entry in statuses(results).values() if entry.key]) == here, process)
    leases = os.environ["HARNESS_LEASES"]
    processes = [each for each in psutil.process_iter() if belongs(each, leases)]
    assert len(processes) > here
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
    again = command(results, launcher, "backend=numpy", "seed=1", "init=keras,torch", env={})
    _, err = again.communicate(timeout=200)
    assert again.returncode == 0, err
    found = [RunRecord.read(path).status for path in results.glob("runs/*/*/record.json")]
    assert found == ["ok", "ok"]


def belongs(process: psutil.Process, leases: str) -> bool:
    """Whether a process is one of this test's, wherever it was started, by what its environment says."""
    try:
        return process.pid != os.getpid() and process.environ().get("HARNESS_LEASES") == leases
    except psutil.Error:
        return False


@pytest.mark.long
@pytest.mark.parametrize("launcher", launchers("submitit_local"))
def test_submitit_finishes_the_runs_of_a_killed_command(
    results: Path, shadow: Shadow, tmp_path: Path, launcher: str
) -> None:
    """And leaves no process behind."""
    go = tmp_path / "go"
    env = sabotage(shadow, in_seed_one(f"while not os.path.exists({str(go)!r}): time.sleep(0.05)"))
    process = command(results, launcher, "backend=numpy", "seed=1", "init=keras,torch", env=env)
    here = min(2, len(cores()))
    await_(lambda: len([entry for entry in statuses(results).values() if entry.key]) == here, process)
    processes = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    go.touch()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert alive == []
    found = [RunRecord.read(path).status for path in results.glob("runs/*/*/record.json")]
    assert len(found) >= here
    assert set(found) == {"ok"}


@pytest.mark.long
def test_one_at_a_time(run: Shell, results: Path) -> None:
    """joblib then makes the runs in the command's own process."""
    done = run("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "backend=numpy", "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert "[2/2] numpy lstm-8 digits row seed 1: ok" in done.stderr
    assert len(records(results)) == 2


@pytest.mark.parametrize("sign", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
@pytest.mark.parametrize("launcher", ELSEWHERE)
def test_ctrl_c(results: Path, shadow: Shadow, launcher: str, sign: signal.Signals) -> None:
    env = sabotage(shadow, in_seed_one("time.sleep(600)"))
    process = command(results, launcher, "backend=numpy", "seed=1", "init=keras,torch", env=env)
    here = min(2, len(cores()))
    await_(lambda: len([e for e in statuses(results).values() if e.key]) == here, process)
    await_(lambda: len(children_of(process.pid)) == here, process)
    processes = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sign)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []
    ends = [RunRecord.read(path).status for path in results.glob("runs/*/*/record.json")]
    assert set(ends) == {"interrupted"}
    assert len(ends) >= here
    assert out.count("interrupted") >= here
    assert "Traceback" not in err


@pytest.mark.long
def test_two_sweeps_of_the_same_runs_make_each_once(results: Path) -> None:
    processes = [command(results, "joblib", "backend=numpy", "seed=0,1,2", env={}) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        assert "numpy" in out
    assert len(records(results)) == 3
    assert len(list(results.glob("runs/*/*/record.json"))) == 3


def test_joblib_makes_as_many_runs_at_a_time_as_there_are_leases() -> None:
    here = len(cores())

    def tasks(count: int, threads: str) -> list[Task]:
        config = configuration(["backend=numpy", f"threads={threads}"])
        return [Task(k, config, "", None, "") for k in range(count)]

    assert max_concurrent(tasks(100, "1")) == here
    assert max_concurrent(tasks(1, "1")) == 1
    assert max_concurrent(tasks(100, "null")) == 1
    assert max_concurrent(tasks(3, "4096")) == 1
    assert max_concurrent(tasks(50, "null") + tasks(50, "1")) == here


@pytest.mark.skipif(len(cores()) < 2, reason="one core only")
@pytest.mark.parametrize("launcher", ELSEWHERE)
def test_runs_at_once_are_in_processes_and_on_cores_of_their_own(
    results: Path, shadow: Shadow, tmp_path: Path, launcher: str
) -> None:
    """Each of two runs waits, in its child, until the other is there: they are made at once or never."""
    meet = f"""
import os, time
import harness.runner.run as runner
run = runner.run
def meeting(job, emit):
    open(f"{tmp_path}/here-{{job.config.seed}}", "w").close()
    while not os.path.exists(f"{tmp_path}/here-{{1 - job.config.seed}}"):
        time.sleep(0.05)
    run(job, emit)
runner.run = meeting
"""
    env = sabotage(shadow, meet)
    process = command(results, launcher, "backend=numpy", "seed=0,1", "run.timeout_seconds=90", env=env)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    first, second = records(results).values()
    assert not set(first.environment["cores"]) & set(second.environment["cores"])
    pids = {entry.pid for entry in statuses(results).values()}
    assert len(pids) == 2
    assert process.pid not in pids


@pytest.mark.parametrize(
    ("package", "choice"),
    [
        ("ray", "hydra/launcher=ray"),
        ("submitit", "hydra/launcher=submitit_local"),
        ("optuna", "hydra/sweeper=optuna"),
    ],
)
def test_a_missing_package_is_reported_with_its_extra(
    run: Shell, shadow: Shadow, package: str, choice: str
) -> None:
    env = shadow(package, f"raise ModuleNotFoundError(\"No module named '{package}'\")")
    done = run("-m", choice, "backend=numpy", "seed=0,1", "objective=val_accuracy", env=env)
    assert done.returncode == 2, done.stderr
    assert f"{package} is not installed: pip install -c constraints.txt" in done.stderr
    assert "Traceback" not in done.stderr
