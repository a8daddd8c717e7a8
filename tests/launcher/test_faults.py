"""Faults in the middle of one sweep: each run's own row, the others untouched, nothing left running."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.store.record import RunRecord
from tests.conftest import ROOT, SMALL, Shell, environment
from tests.support.children import Shadow, sabotage, sabotaged

# What happens in a child, by seed: when its training begins, but for NAN; `fd` are its events, `left` a file
# for the numbers of processes that it leaves behind.
NAN = """
session_train, steps = session.train, 0
def train(batches, rates):
    global steps
    losses = session_train(batches, rates)
    before, steps = steps, steps + len(losses)
    if before <= 7 + 6 < steps:  # three of the warm-up, three of the proof
        losses[7 + 6 - before] = float("nan")
    return losses
session.train = train
"""
LEAVES_ONE = """
if os.fork() == 0:
    AWAY
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
"""
FAULTS: dict[int, tuple[str, str, str]] = {
    1: (NAN, "diverged", "the training loss was nan at step 7 (epoch 1)"),
    2: (
        "print('so far so good', flush=True); os.kill(os.getpid(), signal.SIGSEGV)",
        "crashed",
        "ended by SIGSEGV; last output: so far so good",
    ),
    3: ("os.kill(os.getpid(), signal.SIGKILL)", "crashed", "ended by SIGKILL, no output"),
    4: (
        "used = psutil.Process().memory_info().vms + 2**28\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used, used))\nnumpy.ones(2**30)",
        "out_of_memory",
        "Unable to allocate 8.00 GiB",
    ),
    5: (
        "class OutOfMemoryError(RuntimeError): ...\nraise OutOfMemoryError('CUDA out of memory: 2 GiB.')",
        "out_of_memory",
        "OutOfMemoryError: CUDA out of memory: 2 GiB.",
    ),
    6: (
        "print(\"terminate called after throwing an instance of 'std::bad_alloc'\", flush=True); os.abort()",
        "out_of_memory",
        "ended by SIGABRT; last output: terminate called after throwing an instance of 'std::bad_alloc'",
    ),
    7: (
        "os.close(fd); time.sleep(600)",
        "crashed",
        "closed its messages, did not end within 5 s, and was ended, no output",
    ),
    8: (
        r"os.write(fd, b'\x00\xff{garbage\n'); time.sleep(600)",
        "crashed",
        r"wrote something that is not a message: \x00\xff{garbage",
    ),
    9: ('os.write(fd, b\'{"message": "Upd\'); os._exit(7)', "crashed", "ended with exit status 7, no output"),
    10: (
        'os.write(fd, b\'{"message": "End", "status": "splendid"}\\n\'); time.sleep(600)',
        "crashed",
        'not a message: {"message": "End", "status": "splendid"}',
    ),
    11: (
        r"raise RuntimeError('first\n\x1b[31msecond\x07\x00 third' + 'x' * 100_000)",
        "failed",
        r"RuntimeError: first \x1b[31msecond\x07\x00 thirdxxx",
    ),
    12: (
        "raise RuntimeError('[/red] a|b <b> :smile: [bold]')",
        "failed",
        "RuntimeError: [/red] a|b <b> :smile: [bold]",
    ),
    13: (r"raise RuntimeError('caf\udce9')", "failed", r"RuntimeError: caf\udce9"),
    14: (
        LEAVES_ONE.replace("AWAY", "") + "os.kill(os.getpid(), signal.SIGKILL)",
        "crashed",
        "ended by SIGKILL, no output",
    ),
    15: (
        LEAVES_ONE.replace("AWAY", "os.setsid()") + "raise ValueError('one went')",
        "failed",
        "ValueError: one went",
    ),
    16: ("sys.exit('enough')", "crashed", "ended with exit status 1; last output: enough"),
    17: (
        "block = b'x' * 99 + b'\\n'\nfor _ in range(1000): os.write(1, block * 1000)\nos._exit(4)",
        "crashed",
        "ended with exit status 4; last output: xxx",
    ),
}
if sys.platform == "linux":
    FAULTS[18] = ("os.kill(os.getpid(), 40)", "crashed", "ended by signal 40, no output")
GOOD = (0, 19)

Sweep = tuple[subprocess.CompletedProcess[str], Path]  # what it said, and where its results and notes lie

SABOTAGE = """
import json, os, resource, signal, time
import harness.runner.context as context
opened = context.open_session
def open_session(name, setup):
    import numpy, psutil
    global session
    session = opened(name, setup)
    fd = next(int(word) for word in sys.argv[1:])
    fault = json.loads({faults!r}).get(str(setup.seed))
    if fault is None:
        return session
    names = globals() | locals()
    if "session" in fault:
        exec(fault, names)
        return session
    import harness.runner.training as training
    def train(*_, **__):
        exec(fault, names)
    training.train = train
    return session
context.open_session = open_session
fork = os.fork
def noted():
    pid = fork()
    if pid:
        with open({left!r}, "a") as file:
            file.write(str(pid) + " ")
    return pid
os.fork = noted
"""


def alive(pids: list[int]) -> list[int]:
    """Those of them that still run; what nobody has waited for does not."""
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture(scope="module")
def sweep(
    tmp_path_factory: pytest.TempPathFactory,
) -> Sweep:
    """All faults in one sweep, between two good runs."""
    place = tmp_path_factory.mktemp("faults")
    faults = json.dumps({seed: code for seed, (code, _, _) in FAULTS.items()})
    code = SABOTAGE.format(faults=faults, left=str(place / "left"))
    seeds = ",".join(str(seed) for seed in sorted([*FAULTS, *GOOD]))
    done = subprocess.run(
        [
            sys.executable,
            "run.py",
            "-m",
            f"results.root={place / 'results'}",
            *SMALL,
            "backend=numpy",
            f"seed={seeds}",
        ],
        cwd=ROOT,
        env=environment(**sabotaged(place, code)),
        capture_output=True,
        text=True,
        timeout=500,
    )
    return done, place


def rows(place: Path) -> dict[int, RunRecord]:
    found = [RunRecord.read(path) for path in place.glob("results/runs/*/*/record.json")]
    assert len(found) == len(FAULTS) + len(GOOD)
    return {record.seed: record for record in found}


@pytest.mark.long
@pytest.mark.parametrize("seed", FAULTS)
def test_a_fault_is_its_row(sweep: Sweep, seed: int) -> None:
    record = rows(sweep[1])[seed]
    _, status, reason = FAULTS[seed]
    assert record.status == status, record.reason
    assert reason in str(record.reason)
    assert str(record.reason).isprintable()
    assert len(str(record.reason)) <= 2000
    assert record.parity_gradient is not None  # what was known by then is kept


@pytest.mark.long
def test_the_other_runs_are_ok_and_all_are_in_the_table(
    sweep: Sweep,
) -> None:
    done, place = sweep
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    found = rows(place)
    assert {found[seed].status for seed in GOOD} == {"ok"}
    rest = done.stdout.split("Not ok:")[1]
    lines = [line for line in rest.splitlines() if line.startswith("| numpy")]
    assert len(lines) == len(FAULTS)


@pytest.mark.long
def test_nothing_is_left_running(sweep: Sweep) -> None:
    left = [int(pid) for pid in (sweep[1] / "left").read_text().split()]
    assert len(left) == 2
    assert alive(left) == []


@pytest.mark.long
def test_a_time_limit_ends_what_will_not_end_and_the_sweep_goes_on(
    run: Shell, results: Path, shadow: Shadow, tmp_path: Path
) -> None:
    """A child that ignores SIGTERM, with children and grandchildren that do too; and then a good one, whose
    limit is longer than the system can be asked to wait."""
    left = tmp_path / "left"
    code = f"""
import os, signal, time
if not os.path.exists({str(left)!r}):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(2):
        os.fork()
    with open({str(left)!r}, "a") as file:
        file.write(str(os.getpid()) + " ")
    time.sleep(600)
"""
    done = run("-m", "backend=numpy", "run.timeout_seconds=3,1e8", env=sabotage(shadow, code))
    assert done.returncode == 1, done.stderr
    ended, good = (RunRecord.read(path) for path in sorted(results.glob("runs/*/*/record.json")))
    assert (ended.status, ended.reason) == ("timeout", "longer than run.timeout_seconds=3")
    assert ended.total_seconds is not None
    assert ended.total_seconds < 20
    assert good.ok, good.reason
    pids = [int(pid) for pid in left.read_text().split()]
    assert len(pids) == 4
    assert alive(pids) == []


def memory_group(limit: int) -> Path:
    """A control group of that many bytes, or a skip where none may be made."""
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    tries = [
        (Path("/sys/fs/cgroup/memory") / own.get("memory", "/").lstrip("/"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup") / own.get("", "/").lstrip("/"), "memory.max"),
    ]
    for parent, file in tries:
        group = parent / f"harness-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / file).write_text(str(limit))
        except OSError:
            group.rmdir()
            continue
        return group
    pytest.skip("no control group with a memory limit may be made here")


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_killed_by_the_kernel_for_memory(run: Shell, results: Path, shadow: Shadow) -> None:
    group = memory_group(500 * 2**20)
    code = """
import harness.runner.training
def train(context, *rest, **more):
    import numpy
    if context.config.seed == 0:
        numpy.ones(2**28)
    return original(context, *rest, **more)
original, harness.runner.training.train = harness.runner.training.train, train
"""
    try:
        done = run(
            "-m",
            "backend=numpy",
            "seed=0,1",
            env=sabotage(shadow, code),
            preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())),
        )
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(pid)
        group.rmdir()
    assert done.returncode == 1, done.stderr
    found = {r.seed: r for r in map(RunRecord.read, results.glob("runs/*/*/record.json"))}
    assert (found[0].status, found[0].reason) == ("out_of_memory", "killed by the kernel for memory")
    assert found[1].status == "ok"
