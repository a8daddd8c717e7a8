"""SLURM: the batch script requests what the runs need, and running it makes them."""

import os
import shutil
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.config.compose import configuration
from harness.sweep.executors.submitit import Resources, resources
from tests.conftest import Shell
from tests.support.sweeps import records

pytestmark = pytest.mark.usefixtures("own_leases")


def test_resources_of_a_job() -> None:
    def requested(*overrides: str) -> Resources:
        return resources(configuration(["backend=torch", *overrides]), 60)

    assert requested("threads=4") == Resources(4, False, 60)
    assert requested("threads=4", "device=cuda", "run.timeout_seconds=90") == Resources(4, True, 12)
    assert requested() == Resources(None, False, 60)


@pytest.fixture
def fake_slurm(tmp_path: Path) -> Iterator[Path]:
    """`sbatch`, `srun`, `sacct` and `scancel` that run a job array's scripts here, one after another."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    programs = {
        "sbatch": """#!/bin/bash
script="${@: -1}"
cp "$script" "$SLURM_FAKE/script-$$.sh"
n=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
export SLURM_JOB_NUM_NODES=1 SLURM_NTASKS=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
(
  for k in $(seq 0 ${n:-0}); do
    export SLURM_JOB_ID=$$
    if [ -n "$n" ]; then export SLURM_ARRAY_JOB_ID=$$ SLURM_ARRAY_TASK_ID=$k; fi
    bash "$script"
    echo "$$_$k" >> "$SLURM_FAKE/over"
  done
) > "$SLURM_FAKE/log" 2>&1 < /dev/null &
echo "Submitted batch job $$"
""",
        "srun": """#!/bin/bash
while [[ "$1" == --* ]]; do if [[ "$1" == *=* || "$1" == --unbuffered ]]; then shift; else shift 2; fi; done
exec "$@"
""",
        "sacct": """#!/bin/bash
echo "JobID|State|NodeList"
while read -r id; do echo "$id|COMPLETED|here"; done < "$SLURM_FAKE/over"
""",
        "scancel": "#!/bin/bash\n",
    }
    for name, text in programs.items():
        path = folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (folder / "over").touch()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.long
@pytest.mark.skipif(find_spec("submitit") is None, reason="pip install -c constraints.txt submitit")
def test_a_simulated_slurm_cluster(run: Shell, results: Path, fake_slurm: Path) -> None:
    """The batch script asks for what the runs need, and running it as SLURM would makes them."""
    env = {"PATH": f"{fake_slurm}:{os.environ['PATH']}", "SLURM_FAKE": str(fake_slurm)}
    done = run(
        "-m",
        "hydra/launcher=submitit_slurm",
        "hydra.launcher.partition=short",
        "hydra.launcher.mem=2GB",
        "hydra.launcher.array_parallelism=1",
        "backend=numpy",
        "seed=0,1",
        "run.timeout_seconds=301",
        env=env,
    )
    (script,) = fake_slurm.glob("script-*.sh")
    lines = script.read_text().splitlines()
    for option in (
        "--cpus-per-task=1",
        "--time=16",
        "--partition=short",
        "--mem=2GB",
        "--array=0-1%1",
        "--job-name=harness",
    ):
        assert f"#SBATCH {option}" in lines, lines
    assert not any("gres" in line or "gpu" in line for line in lines)
    assert done.returncode == 0, done.stderr + (fake_slurm / "log").read_text()
    assert [record.status for record in records(results).values()] == ["ok", "ok"]


@pytest.mark.long
@pytest.mark.skipif(find_spec("submitit") is None, reason="pip install -c constraints.txt submitit")
def test_a_run_on_a_gpu_requests_one(run: Shell, fake_slurm: Path) -> None:
    env = {"PATH": f"{fake_slurm}:{os.environ['PATH']}", "SLURM_FAKE": str(fake_slurm)}
    run("-m", "hydra/launcher=submitit_slurm", "backend=torch", "device=cuda", "seed=0", env=env)
    (script,) = fake_slurm.glob("script-*.sh")
    assert "#SBATCH --gres=gpu:1" in script.read_text().splitlines()
    assert "#SBATCH --time=60" in script.read_text().splitlines()


@pytest.mark.skipif(shutil.which("srun") is not None, reason="this is a SLURM cluster")
def test_a_machine_without_slurm_is_reported(run: Shell, results: Path) -> None:
    done = run("-m", "hydra/launcher=submitit_slurm", "backend=numpy", "seed=0,1")
    assert done.returncode == 2, done.stderr
    assert "there is no srun here" in done.stderr
    assert "Traceback" not in done.stderr
