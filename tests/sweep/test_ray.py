"""Runs spread over Ray: on a cluster that is there, and on one of the sweep's own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.config.compose import configuration
from harness.measure.machine import cores
from harness.sweep.executors.ray import resources
from tests.conftest import ROOT, Shell, environment
from tests.support.children import Shadow, sabotage
from tests.support.sweeps import await_, command, in_seed_one, records, statuses

pytest.importorskip("ray", reason="pip install -c constraints.txt ray")
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]  # one cluster for all

ASKED = {"RAY_AUTH_MODE": "token"}  # what Ray's clusters ask for by default
# until its standard input ends
CLUSTER = """
import ray, sys
ray.init("local", num_cpus=2, num_gpus=0, object_store_memory=80 * 2**20, include_dashboard=False,
         log_to_driver=False, logging_level="error")
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the children of runs on the cluster import first lies here: tests change it."""
    found = tmp_path_factory.mktemp("ray")
    (found / "sitecustomize").mkdir()
    return found


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[str]:
    """The address of a cluster of this machine."""
    env = environment(
        PYTHONPATH=os.pathsep.join((str(folder), str(ROOT))),
        HARNESS_LEASES=str(folder / "leases"),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_enable_metrics_collection="0",
        **ASKED,
    )
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address
    yield address
    process.stdin.close()
    process.wait(timeout=60)


@pytest.fixture
def first(folder: Path) -> Iterator[Path]:
    """The file that children of runs on the cluster execute first; does nothing before the test says what."""
    path = folder / "sitecustomize" / "__init__.py"
    path.write_text("")
    yield path
    path.write_text("")


def children(code: str) -> str:
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    return f"import sys\nif 'harness.runner' in sys.orig_argv:\n{indented}"


def on(cluster: str, results: Path, *overrides: str) -> subprocess.Popen[str]:
    return command(
        results, "ray", f"hydra.launcher.address={cluster}", "backend=numpy", *overrides, env=ASKED
    )


def test_a_run_that_dies_and_a_worker_that_is_killed_are_rows(
    cluster: str, first: Path, results: Path
) -> None:
    """Seed 1 dies by itself; seed 2 hangs, and Ray's process around it is killed. The others are made."""
    hangs = "    if job.config.seed == 2:\n        time.sleep(600)\n    run(job, emit)\n"
    code = in_seed_one("os.kill(os.getpid(), signal.SIGSEGV)").replace("    run(job, emit)\n", hangs)
    first.write_text(children(code))
    process = on(cluster, results, "seed=2,0,1,3")

    def others_are_over() -> bool:
        found = statuses(results)
        return 0 in found and found[0].key is not None and sum(bool(e.status) for e in found.values()) == 3

    await_(others_are_over, process)
    os.kill(statuses(results)[0].pid, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    found = records(results)
    assert {seed: record.status for seed, record in found.items()} == {
        0: "ok",
        1: "crashed",
        2: "crashed",
        3: "ok",
    }
    assert "SIGSEGV" in str(found[1].reason)
    assert found[2].reason == "its process ended without reporting a result"
    for seed in (1, 2):
        assert str(found[seed].reason) in out
    assert "Traceback" not in err


@pytest.mark.skipif(len(cores()) < 2, reason="one core only")
def test_runs_at_once_are_in_processes_and_on_cores_of_their_own(
    cluster: str, first: Path, results: Path, tmp_path: Path
) -> None:
    """Each of two runs waits, in its child, until the other is there: they are made at once or never."""
    first.write_text(
        children(f"""
import os, time
import harness.runner.run as runner
run = runner.run
def meeting(job, emit):
    open(f"{tmp_path}/here-{{job.config.seed}}", "w").close()
    while not os.path.exists(f"{tmp_path}/here-{{1 - job.config.seed}}"):
        time.sleep(0.05)
    run(job, emit)
runner.run = meeting
""")
    )
    process = on(cluster, results, "seed=0,1", "run.timeout_seconds=90")
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    one, other = records(results).values()
    assert not set(one.environment["cores"]) & set(other.environment["cores"])
    made_by = {entry.pid for entry in statuses(results).values()}
    assert len(made_by) == 2
    assert process.pid not in made_by


def test_ctrl_c_ends_the_runs_and_leaves_the_cluster(cluster: str, first: Path, results: Path) -> None:
    first.write_text(children(in_seed_one("time.sleep(600)")))
    process = on(cluster, results, "seed=1", "init=keras,torch")
    await_(lambda: sum(e.key is not None for e in statuses(results).values()) == 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert {entry.status for entry in statuses(results).values()} == {"interrupted"}
    assert out.count("interrupted") >= 2
    assert "Traceback" not in err
    first.write_text("")
    again = on(cluster, results, "seed=1")
    assert again.wait(timeout=100) == 0


def test_a_cluster_of_the_sweeps_own_ends_with_it(results: Path, shadow: Shadow, tmp_path: Path) -> None:
    """On SIGTERM too, for which Ray would have a handler of its own."""
    env = sabotage(shadow, in_seed_one("time.sleep(600)")) | {"HARNESS_LEASES": str(tmp_path / "leases")}
    process = command(results, "ray", "backend=numpy", "seed=0,1", env=env)
    await_(lambda: [e.status for e in statuses(results).values() if e.key] == ["ok", None], process)
    everybody = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    _, alive = psutil.wait_procs(everybody, timeout=20)
    assert alive == []
    assert {seed: record.status for seed, record in records(results).items()} == {0: "ok", 1: "interrupted"}
    assert "interrupted" in out
    assert "Traceback" not in err


def test_no_cluster_is_said(run: Shell, shadow: Shadow) -> None:
    """Ray itself takes half a minute to find that out."""
    env = shadow(
        "ray", "def init(**_): raise ConnectionError('Failed to connect to Ray cluster at nowhere:1')"
    )
    options = ("hydra/launcher=ray", "hydra.launcher.address=nowhere:1")
    done = run("-m", *options, "backend=numpy", "seed=0", env=env)
    assert done.returncode == 2, done.stderr
    assert "hydra.launcher.address=nowhere:1: no Ray cluster can be reached there" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_run_takes_of_a_node() -> None:
    nodes = [{"CPU": 64.0, "GPU": 8.0}, {"CPU": 4.0}]

    def taken(*overrides: str) -> tuple[float, float]:
        found = resources(configuration(list(overrides)), nodes)
        return found["num_cpus"], found["num_gpus"]

    assert taken("backend=torch", "threads=3", "device=cuda") == (3, 1)
    assert taken("backend=torch", "threads=3", "device=auto") == (3, 1)
    assert taken("backend=torch", "threads=3", "device=cpu") == (3, 0)
    assert taken("backend=numpy") == (4, 0)
