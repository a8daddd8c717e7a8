"""Leases on cores: held alone, given back, also by the dead."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from filelock import FileLock

from harness.errors import LeaseError
from harness.launcher.lease import lease
from harness.launcher.process import environment
from harness.measure import devices, quota
from harness.measure.machine import cores
from harness.measure.quota import Quota
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.children import Shadow, in_children, start
from tests.support.configurations import composed


def hold(directory: str, count: int, pipe: Connection) -> None:
    os.environ["HARNESS_LEASES"] = directory
    with lease(count, [], lambda text: pipe.send(text)) as held:
        pipe.send(held.cores)
        pipe.recv()


class Holder:
    """Another process that takes a lease."""

    def __init__(self, directory: Path, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=hold, args=(str(directory), count, theirs))
        self.process.start()

    def says(self) -> object:
        assert self.pipe.poll(30)
        return self.pipe.recv()


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_LEASES", str(tmp_path / "leases"))
    return tmp_path / "leases"


def test_a_second_run_waits_until_the_cores_are_free(own_locks: Path) -> None:
    everything = len(cores())
    with lease(everything, [], pytest.fail) as held:
        assert held.cores == tuple(cores())
        other = Holder(own_locks, 1)
        assert "waiting for 1 of" in str(other.says())
        assert not other.pipe.poll(1)
    assert other.says() == (cores()[0],)
    other.pipe.send("done")
    other.process.join(10)


def test_two_runs_on_different_cores_do_not_wait(own_locks: Path) -> None:
    if len(cores()) < 2:
        pytest.skip("one core only")
    with lease(1, [], pytest.fail) as held:
        other = Holder(own_locks, 1)
        assert other.says() != held.cores
        other.pipe.send("done")
        other.process.join(10)


def test_the_dead_hold_nothing(own_locks: Path) -> None:
    other = Holder(own_locks, len(cores()))
    assert other.says() == tuple(cores())
    os.kill(other.process.pid or 0, signal.SIGKILL)
    other.process.join(10)
    with lease(len(cores()), [], pytest.fail):
        pass


class Waits(Exception):
    """A lease would have to wait."""


def refuse(text: str) -> None:
    raise Waits(text)


def test_runs_keep_to_a_cpu_quota_together(
    own_locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(cores()) < 2:
        pytest.skip("one core only")
    groups = [tmp_path / name for name in ("wide", "narrow", "other")]
    for group in groups:
        group.mkdir()
    wide, narrow, other = (Quota(group, limit) for group, limit in zip(groups, (2.5, 1.0, 0.5), strict=True))
    for module in (quota, devices):
        monkeypatch.setattr(module, "quotas", lambda: [wide, narrow])
    with lease(1, [], pytest.fail):
        with pytest.raises(Waits, match="waiting for 1 of 1 cores"), lease(1, [], refuse):
            pass
        monkeypatch.setattr(quota, "quotas", lambda: [wide, other])  # a second container
        with lease(1, [], pytest.fail):
            pass


@pytest.fixture
def gpu_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the GPUs that this process may open, by their minor numbers."""
    monkeypatch.setattr(devices, "DRIVER_GPUS", tmp_path / "driver")
    monkeypatch.setitem(sys.modules, "pynvml", None)

    def make(*minors: int) -> None:
        folder = tmp_path / f"dev-{minors}"
        folder.mkdir()
        for minor in minors:
            (folder / f"nvidia{minor}").touch()
        monkeypatch.setattr(devices, "DEVICE_FILES", folder)

    return make


def test_a_gpu_is_leased_alone(gpu_files: Callable[..., None]) -> None:
    gpu_files(0, 1)
    with lease(1, ["0", "1"], pytest.fail) as first:
        if len(cores()) > 1:
            with lease(1, ["0", "1"], pytest.fail) as second:
                assert {first.gpu, second.gpu} == {"0", "1"}
        assert first.gpu == "0"


def test_a_gpu_has_one_lock_by_whatever_name(
    gpu_files: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(cores()) < 2:
        pytest.skip("one core only")
    gpu_files(3)
    (tmp_path / "driver" / "0000:10:00.0").mkdir(parents=True)
    told = tmp_path / "driver" / "0000:10:00.0" / "information"
    told.write_text("GPU UUID: GPU-????\nDevice Minor: 3\n")  # until the GPU is used for the first time
    with lease(1, devices.candidate_gpus("cuda", ("cpu", "cuda")), pytest.fail) as held:
        assert held.gpu == "0"
        told.write_text("GPU UUID: GPU-a1\nDevice Minor: 3\n")
        assert devices.cuda_device(held.gpu) == "cuda:0"
        with pytest.raises(Waits, match="and a GPU"), lease(1, ["0"], refuse):
            pass
        for names in (None, "GPU-a"):
            if names:
                monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
            found = devices.candidate_gpus("cuda", ("cpu", "cuda"))
            assert found == ["GPU-a1"]
            with pytest.raises(Waits, match="and a GPU"), lease(1, found, refuse):
                pass


def test_a_gpu_is_leased_and_exported_by_its_uuid(gpu_files: Callable[..., None], tmp_path: Path) -> None:
    """Though its device file has another number than CUDA gives it."""
    gpu_files(3)
    (tmp_path / "driver" / "0000:10:00.0").mkdir(parents=True)
    told = tmp_path / "driver" / "0000:10:00.0" / "information"
    told.write_text("Model: NVIDIA H200\nGPU UUID: GPU-a1\nDevice Minor: 3\n")
    with lease(1, devices.candidate_gpus("auto", ("cpu", "cuda")), pytest.fail) as held:
        assert (held.gpu, devices.cuda_device(held.gpu)) == ("GPU-a1", "cuda:0")
        assert environment(composed(), held)["CUDA_VISIBLE_DEVICES"] == "GPU-a1"


def test_the_first_gpus_of_two_containers_are_two(gpu_files: Callable[..., None]) -> None:
    if len(cores()) < 2:
        pytest.skip("one core only")
    gpu_files(3)
    with lease(1, devices.candidate_gpus("cuda", ("cpu", "cuda")), pytest.fail) as first:
        gpu_files(5)
        with lease(1, devices.candidate_gpus("cuda", ("cpu", "cuda")), pytest.fail) as second:
            for held in (first, second):
                env = environment(composed(), held)
                assert (env["CUDA_VISIBLE_DEVICES"], env["CUDA_DEVICE_ORDER"]) == ("0", "PCI_BUS_ID")


@pytest.mark.parametrize("names", ["0,1", "NoDevFiles"])
def test_a_machine_without_gpus_has_none_whatever_is_visible(run: Shell, names: str) -> None:
    if devices.gpus():
        pytest.skip("this machine has GPUs")
    done = run("backend=torch", "device=cuda", env={"CUDA_VISIBLE_DEVICES": names})
    assert "device=cuda: no such CUDA device; available: cpu" in done.stderr


def test_two_runs_with_device_auto_spread_over_the_gpus(
    own_locks: Path, gpu_files: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_files(0, 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a/../1,MIG-b")
    if len(cores()) < 2:
        pytest.skip("one core only")
    names = devices.candidate_gpus("auto", ("cpu", "cuda"))
    threads = devices.thread_count(None, gpu=True)
    assert threads == devices.core_count() // 2
    with lease(threads, names, pytest.fail) as first, lease(threads, names, pytest.fail) as second:
        assert [first.gpu, second.gpu] == ["MIG-a/../1", "MIG-b"]
        assert not set(first.cores) & set(second.cores)
        assert [devices.cuda_device(held.gpu) for held in (first, second)] == ["cuda:0", "cuda:1"]
    assert {path.parent for path in own_locks.parent.rglob("*.lock")} == {own_locks}


@pytest.mark.long
def test_a_sweep_spreads_over_the_gpus(results: Path, tmp_path: Path, shadow: Shadow) -> None:
    """Two sweeps at once, each on a GPU by its name, as far as that goes without one."""
    if len(cores()) < 2:
        pytest.skip("one core only")
    code = "import time\nwhile len(list(__import__('pathlib').Path({0!r}).glob('*'))) < 2: time.sleep(0.05)\n"
    there, files = tmp_path / "there", tmp_path / "dev"
    there.mkdir()
    files.mkdir()
    for minor in (3, 5):
        (files / f"nvidia{minor}").touch()
    begun = f"import os; open({str(there)!r} + '/' + os.environ['CUDA_VISIBLE_DEVICES'], 'w').close()\n"
    in_commands = (
        f"import pathlib, harness.measure.devices as d; d.DEVICE_FILES = pathlib.Path({str(files)!r})\n"
    )
    env = shadow("sitecustomize", in_commands + in_children(begun + code.format(str(there))))
    more = {**env, "HARNESS_LEASES": str(tmp_path / "leases"), "CUDA_VISIBLE_DEVICES": "0,1"}
    both = [start(results / str(n), "backend=torch", "device=auto", f"seed={n}", env=more) for n in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    found = [RunRecord.read(path) for path in results.glob("*/runs/*/*/record.json")]
    assert sorted(record.environment["gpu"] for record in found) == ["0", "1"]


@pytest.mark.parametrize("place", ["/proc/leases", "{file}", "{file}/below", "{locked}"])
def test_a_place_that_cannot_hold_leases_is_named(run: Shell, tmp_path: Path, place: str) -> None:
    file, locked = tmp_path / "file", tmp_path / "locked"
    file.write_text("in the way")
    (locked / "core-0.lock").mkdir(parents=True)  # as good as another user's: it cannot be opened for writing
    for core in cores():
        (locked / f"core-{core}.lock").mkdir(exist_ok=True)
    path = place.format(file=file, locked=locked)
    done = run("backend=numpy", env={"HARNESS_LEASES": path})
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert f"leases: {path}" in done.stderr
    assert "set HARNESS_LEASES to a directory" in done.stderr
    assert "leases: " in done.stdout  # and it is a row


def test_a_lock_of_another_user_that_may_not_be_opened(
    own_locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", denied)
    said = rf"leases: {own_locks}/core-\d+\.lock cannot be used \(Permission denied\); set HARNESS_LEASES"
    with pytest.raises(LeaseError, match=said), lease(1, [], pytest.fail):
        pass
