"""Whatever happens to a run becomes its row, and the sweep goes on."""

import os
import resource
import signal
import time
from pathlib import Path

import psutil
import pytest

from harness.store.record import RunRecord
from harness.store.statuses import STATUSES
from tests.conftest import Shell
from tests.support.children import ALIVE, Shadow, child_of, sabotage, start


def by_backend(results: Path) -> dict[str, RunRecord]:
    found = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    assert {record.status for record in found} <= set(STATUSES)
    return {record.backend: record for record in found}


BROKEN = [
    ("raise ImportError('libtorch.so is broken')", "skipped", "libtorch.so is broken"),
    ("raise ModuleNotFoundError(\"No module named 'torch'\")", "skipped", "No module named 'torch'"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed", "SIGSEGV"),
    ("print('last words', flush=True); os.abort()", "crashed", "SIGABRT; last output: last words"),
    ("os.kill(os.getpid(), 9)", "crashed", "SIGKILL"),
    ("os._exit(3)", "crashed", "exit status 3"),
]


@pytest.mark.long
def test_a_broken_package(run: Shell, results: Path, shadow: Shadow, tmp_path: Path) -> None:
    """Broken in another way each time that a run imports it, and each is followed by the next run."""
    count = tmp_path / "count"
    code = f"""
import os, signal
with open({str(count)!r}, "a+b") as file:
    file.write(b"x")
    times = file.tell()
exec({[code for code, *_ in BROKEN]}[times - 1])
"""
    seeds = ",".join(map(str, range(len(BROKEN))))
    done = run("-m", f"seed={seeds}", "backend=torch", env=shadow("torch", code))
    assert done.returncode == 1, done.stderr
    found = {r.seed: r for r in map(RunRecord.read, results.glob("runs/*/*/record.json"))}
    for seed, (_, status, reason) in enumerate(BROKEN):
        assert found[seed].status == status
        assert reason in str(found[seed].reason)
        if status == "skipped":
            assert "pip install -c constraints.txt torch" in str(found[seed].reason)
    assert done.stdout.count("| skipped |") == 2
    assert done.stdout.count("| crashed |") == 4
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_missing_keras_engine(run: Shell, results: Path, shadow: Shadow) -> None:
    env = shadow("tensorflow", "raise ModuleNotFoundError(\"No module named 'tensorflow'\")")
    done = run("-m", "backend=keras,numpy", env=env)
    assert done.returncode == 1
    found = by_backend(results)
    assert (found["keras"].status, found["numpy"].status) == ("skipped", "ok")
    assert "pip install" in str(found["keras"].reason)
    assert "tensorflow" in str(found["keras"].reason)


def test_an_exception_in_the_run(run: Shell, results: Path, shadow: Shadow) -> None:
    code = """
import harness.runner.training
def train(*_, **__): raise RuntimeError("the wheel came off")
harness.runner.training.train = train
"""
    done = run("-m", "backend=numpy", "seed=0,1", env=sabotage(shadow, code))
    assert done.returncode == 1
    record = by_backend(results)["numpy"]
    assert record.status == "failed"
    assert record.reason == "RuntimeError: the wheel came off"
    assert record.parity_gradient is not None  # what was known by then is kept
    log = Path(str(record.record_path)).parent / "output.log"
    assert "Traceback" in log.read_text()
    assert "Traceback" not in done.stderr


def test_a_swapped_gate_fails_parity_and_trains_nothing(run: Shell, results: Path, shadow: Shadow) -> None:
    code = """
import harness.backends.numpy.parameters as parameters
pack = parameters.Layout.pack
def swapped(self, weights, flat):
    if flat.dtype == "float32":
        swap = {"W_xi": "W_xf", "W_xf": "W_xi"}
        weights = {n: weights[n[:-4] + swap.get(n[-4:], n[-4:])] for n in weights}
    pack(self, weights, flat)
parameters.Layout.pack = swapped
"""
    done = run("backend=numpy", env=sabotage(shadow, code))
    assert done.returncode == 1, done.stderr
    record = by_backend(results)["numpy"]
    assert record.status == "parity_failed"
    assert "above 0.0001" in str(record.reason)
    assert record.history == []


def test_a_loss_that_is_not_finite(run: Shell, results: Path) -> None:
    done = run(
        "backend=numpy",
        "cell=rnn",
        "cell.activation=relu",
        "train.optimizer=sgd",
        "train.learning_rate=1000",
        "train.clip_norm=null",
        "train.epochs=5",
    )
    assert done.returncode == 1, done.stderr
    record = by_backend(results)["numpy"]
    assert record.status == "diverged"
    assert "at step" in str(record.reason)
    assert record.timing["windows"]


@pytest.mark.long
def test_not_enough_memory(run: Shell, results: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))

    done = run("-m", "backend=numpy", "cell.hidden=8,65536", preexec_fn=limit)
    assert done.returncode == 1, done.stderr
    found = {r.hidden: r for r in (RunRecord.read(p) for p in results.glob("runs/*/*/record.json"))}
    assert found[8].status == "ok", found[8].reason
    assert found[65536].status == "out_of_memory", found[65536].reason


@pytest.mark.parametrize("sign", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_ctrl_c(results: Path, shadow: Shadow, sign: signal.Signals) -> None:
    process = start(results, "backend=torch,numpy", env=shadow("torch", ALIVE))
    child = child_of(process)
    time.sleep(1)
    process.send_signal(sign)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    found = by_backend(results)
    assert found["torch"].status == "interrupted"
    assert "numpy" not in found
    assert "interrupted" in out
    assert "Traceback" not in err


def test_a_killed_launcher_takes_its_child_along(results: Path, shadow: Shadow) -> None:
    """And the child's own children."""
    process = start(results, "backend=torch", env=shadow("torch", f"import os; os.fork(); {ALIVE}"))
    child = child_of(process)
    deadline = time.monotonic() + 60
    while not child.children():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = [child, *child.children()]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _, left = psutil.wait_procs(family, timeout=10)
    assert left == []


@pytest.mark.long
def test_concurrent_runs_never_share_a_core(results: Path, tmp_path: Path) -> None:
    """Two sweeps at once on one core each: their children are pinned to different ones, or take turns."""
    env = {"HARNESS_LEASES": str(tmp_path / "leases")}
    processes = [start(results / str(n), "backend=numpy", "seed=0,1", env=env) for n in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
    spans = []
    for path in results.glob("*/runs/*/*/record.json"):
        record = RunRecord.read(path)
        assert len(record.environment["cores"]) == 1
        spans.append(record.environment["cores"][0])
    assert len(spans) == 4
