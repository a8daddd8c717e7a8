"""Real runs on a machine that says it has GPUs: what they are given, and what their records say of it.

No framework sees a GPU there: NumPy is said to compute on one, and with `device=auto` computes on the CPU.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.measure import devices
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.children import Shadow

PRETEND = """
import sys
from pathlib import Path
import harness.backends.numpy
import harness.measure.devices as devices
from tests.support.nvidia import Card, FakeNvml
harness.backends.numpy.DEVICES = ("cpu", "cuda")
devices.DEVICE_FILES = devices.DRIVER_GPUS = Path({files!r})
cards = Card(3, "GPU-aa11-1"), Card(5, "GPU-bb22-2", "NVIDIA H100")
sys.modules["pynvml"] = FakeNvml(*cards, driver={driver!r})
"""


@pytest.fixture
def pretend(shadow: Shadow, tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """An environment in which every process finds GPUs, by the version of their driver."""
    if devices.gpus():
        pytest.skip("this machine has GPUs")
    files = tmp_path / "dev"
    files.mkdir()
    for minor in (3, 5):
        (files / f"nvidia{minor}").touch()

    def env(driver: str) -> dict[str, str]:
        return shadow("sitecustomize", PRETEND.format(files=str(files), driver=driver))

    return env


def test_what_a_run_on_a_gpu_records(
    run: Shell, results: Path, pretend: Callable[[str], dict[str, str]]
) -> None:
    overrides = ("backend=numpy", "device=auto")
    done = run(*overrides, env=pretend("580.65.06"))
    assert done.returncode == 0, done.stderr
    (record,) = map(RunRecord.read, results.glob("runs/*/*/record.json"))
    assert record.environment["gpu"] == "GPU-aa11-1"
    card = record.environment["card"]
    assert (card["name"], card["driver"], card["power_limit_watts"]) == ("NVIDIA H200", "580.65.06", 600.0)
    found = record.environment["variables_set"]
    assert (found["CUDA_VISIBLE_DEVICES"], found["CUBLAS_WORKSPACE_CONFIG"]) == ("GPU-aa11-1", ":4096:8")
    assert (record.device, "gpu" in record.details) == ("cpu", False)
    dry = (*overrides, "sweep.dry_run=true")
    assert "1 complete already" in run(*dry, env=pretend("580.65.06")).stdout
    assert "1 would run" in run(*dry, env=pretend("590.1.2")).stdout
