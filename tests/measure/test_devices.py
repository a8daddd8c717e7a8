"""Which cores and GPUs a run may have, told from the system alone."""

import os
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.measure import devices
from harness.measure.devices import gpus, visible_gpus
from tests.support.nvidia import VERSION, Card, Instance, NvidiaMachine

ALL = ("cpu", "cuda", "mps")
UUIDS = A, B, C = ("GPU-aa11-1", "GPU-aa22-2", "GPU-bb33-3")
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"


@pytest.fixture
def three(nvidia: NvidiaMachine) -> None:
    """GPUs whose device files are not numbered in the order of their addresses."""
    nvidia.install(0, 1, 2, told={f"0000:{7 - n}0:00.0": (n, UUIDS[2 - n]) for n in range(3)})


def locks() -> dict[str, str]:
    """The names of the GPUs, each with that of its lock."""
    return {gpu.name: gpu.lock for gpu in visible_gpus()}


def visible(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)


def test_what_serves_a_device(nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia.install(*range(8))
    visible(monkeypatch, "4,0,7")
    assert devices.candidate_gpus("auto", ALL) == ["4", "0", "7"]
    assert devices.candidate_gpus("cuda", ALL) == ["4", "0", "7"]
    assert devices.candidate_gpus("cuda:2", ALL) == ["7"]
    assert devices.candidate_gpus("cpu", ALL) == []
    assert devices.candidate_gpus("auto", ("cpu",)) == []
    assert devices.cuda_device("7") == "cuda:2"
    assert devices.cuda_device(None) is None


def test_a_gpu_that_is_not_there(nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia.install(0)
    with pytest.raises(Unavailable, match=r"device=cuda:1: .* available: cpu, cuda:0"):
        devices.candidate_gpus("cuda:1", ALL)
    visible(monkeypatch, "")
    with pytest.raises(Unavailable, match=r"device=cuda: .* available: cpu$"):
        devices.candidate_gpus("cuda", ALL)
    assert devices.candidate_gpus("auto", ALL) == []


@pytest.mark.parametrize("names", ["0", "0,1", "", "NoDevFiles", "-1", "all", "GPU-aa11", "MIG-aa11", None])
def test_no_device_files_no_gpus(
    nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch, names: str | None
) -> None:
    nvidia.install(told={"0000:10:00.0": (0, UUIDS[0])})
    if names is not None:
        visible(monkeypatch, names)
    assert gpus() == []


def test_gpus_are_found_by_their_device_files(nvidia: NvidiaMachine) -> None:
    nvidia.install(2, 10)
    assert gpus() == ["0", "1"]  # as CUDA numbers them
    assert locks() == {"0": "2", "1": "10"}


def test_a_device_file_that_may_not_be_opened(nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia.install(0, 3)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name == "nvidia3")
    assert locks() == {"0": "3"}


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("names", "found"),
    [
        (None, {A: "2", B: "1", C: "0"}),  # in the order of their addresses
        ("2,0", {C: "0", A: "2"}),
        ("0, 1", {A: "2", B: "1"}),
        ("0,2,-1,1", {A: "2", C: "0"}),
        ("0,3,1", {A: "2"}),
        ("0,x,1", {A: "2"}),
        ("0,,1", {A: "2"}),
        ("-1", {}),
        ("", {}),
        ("NoDevFiles", {}),
        ("1,0,1", {}),  # CUDA sees none
        ("1gpu", {B: "1"}),
        ("GPU-aa11-1", {A: "2"}),
        ("GPU-bb,GPU-aa2", {C: "0", B: "1"}),
        ("GPU-bb,GPU-cc,GPU-aa2", {C: "0"}),
        ("GPU-bb,1", {C: "0"}),
        ("1,GPU-bb", {B: "1"}),
        ("GPU-aa", {}),  # two begin so
        ("GPU-bb,GPU-bb33", {}),
        ("MIG-GPU-aa11-1/1/0,MIG-7", {"MIG-GPU-aa11-1/1/0": "MIG-GPU-aa11-1/1/0", "MIG-7": "MIG-7"}),
    ],
)
def test_what_cuda_makes_of_the_visible_devices(
    monkeypatch: pytest.MonkeyPatch, names: str | None, found: dict[str, str]
) -> None:
    if names is not None:
        visible(monkeypatch, names)
    assert locks() == found
    assert gpus() == list(found)


def test_uuids_that_the_driver_hides(nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does until a GPU is used for the first time."""
    hidden = "GPU-????????-????"
    nvidia.install(0, told={"0000:10:00.0": (0, hidden)})
    visible(monkeypatch, "GPU-aa")
    assert locks() == {"GPU-aa": "0"}  # it can be no other
    nvidia.install(1, told={"0000:20:00.0": (1, hidden)})
    assert locks() == {"GPU-aa": "GPU-aa"}


def test_threads_are_all_cores_or_a_share_for_each_gpu(nvidia: NvidiaMachine) -> None:
    here = devices.core_count()
    assert devices.thread_count(None, gpu=True) == here
    nvidia.install(0, 1)
    assert devices.thread_count(None, gpu=False) == here
    assert devices.thread_count(None, gpu=True) == max(1, here // 2)
    assert devices.thread_count(1, gpu=True) == 1
    with pytest.raises(Unavailable, match=f"may use {here} of the"):
        devices.thread_count(here + 1, gpu=False)


def test_nvml_tells_what_the_driver_s_files_do_not(nvidia: NvidiaMachine) -> None:
    nvidia.install(0, 3)
    nvidia.nvml(Card(3, A, "NVIDIA H100"), Card(0, B), Card(7, C))  # the last has no device file here
    assert locks() == {A: "3", B: "0"}
    assert [devices.model_of(name) for name in (A, B, C)] == ["NVIDIA H100", "NVIDIA H200", ""]
    assert devices.cuda_device(B) == "cuda:1"


def test_a_gpu_that_a_control_group_withholds(nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a job on a cluster: its device file looks usable, and numbers do not count it."""
    nvidia.install(0, 3, told={"0000:10:00.0": (0, B), "0000:20:00.0": (3, A)})
    visible(monkeypatch, "0")
    assert gpus() == [B]
    nvidia.nvml(Card(3, A), Card(0, B, missing=["nvmlDeviceGetMinorNumber"]))
    assert gpus() == [A]


def test_a_gpu_that_nvml_numbers_otherwise_is_there_all_the_same(nvidia: NvidiaMachine) -> None:
    nvidia.install(3)
    nvidia.nvml(Card(0, A))
    assert locks() == {"0": "3"}


INSTANCES = [Instance("MIG-1a", "NVIDIA H100 MIG 1g.10gb"), Instance("MIG-2b", "NVIDIA H100 MIG 2g.20gb")]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (None, ["MIG-1a", "MIG-2b", B]),
        ("0", ["MIG-1a", "MIG-2b"]),
        ("1,0", [B, "MIG-1a", "MIG-2b"]),
        ("GPU-aa1", ["MIG-1a", "MIG-2b"]),
        ("MIG-2b", ["MIG-2b"]),
        ("MIG-2", ["MIG-2b"]),
        ("MIG-2,MIG-2b", []),
        ("MIG-GPU-aa11-1/1/0", ["MIG-GPU-aa11-1/1/0"]),
    ],
)
def test_a_gpu_that_mig_has_split_stands_for_its_instances(
    nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch, names: str | None, found: list[str]
) -> None:
    nvidia.install(0, 1, told={"0000:10:00.0": (0, A), "0000:20:00.0": (1, B)})
    nvidia.nvml(Card(0, A, instances=INSTANCES), Card(1, B))
    if names is not None:
        visible(monkeypatch, names)
    assert gpus() == found
    assert all(gpu.lock == gpu.name for gpu in visible_gpus() if gpu.name != B)
    if "MIG-2b" in found:
        assert devices.model_of("MIG-2b") == "NVIDIA H100 MIG 2g.20gb"


def test_mig_without_an_instance_leaves_nothing(nvidia: NvidiaMachine) -> None:
    nvidia.install(0)
    nvidia.nvml(Card(0, A, instances=[]))
    assert gpus() == []


def test_a_run_takes_any_gpu_of_the_first_one_s_model(nvidia: NvidiaMachine) -> None:
    nvidia.install(0, 1, 2)
    for minor, model in enumerate(("NVIDIA H200", "NVIDIA H100", "NVIDIA H200")):
        nvidia.tell(f"0000:{minor}0:00.0", minor, UUIDS[minor], model)
    for device in ("auto", "cuda"):
        assert devices.candidate_gpus(device, ALL) == [A, C]
    assert devices.candidate_gpus("cuda:1", ALL) == [B]


@pytest.mark.parametrize(("text", "version"), [(VERSION, "580.65.06"), (CLOSED, "535.104.05")])
def test_the_driver_s_version(nvidia: NvidiaMachine, text: str, version: str) -> None:
    assert devices.driver_version() == ""
    nvidia.nvml(driver="1.2.3")
    assert devices.driver_version() == "1.2.3"
    nvidia.version(text)
    assert devices.driver_version() == version
