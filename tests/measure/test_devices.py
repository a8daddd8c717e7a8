"""Which cores and GPUs a run may have, told from the system alone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.measure import devices
from harness.measure.devices import gpus, physical_gpus

ALL = ("cpu", "cuda", "mps")
UUIDS = ("GPU-aa11-1", "GPU-aa22-2", "GPU-bb33-3")
INFORMATION = "Model: \t\t NVIDIA H200\nIRQ:\nGPU UUID: \t {}\nBus Location: \t {}\nDevice Minor: \t {}\n"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Gives the machine GPUs, one for each minor number, with addresses and UUIDs that the driver tells."""
    files, driver = tmp_path / "dev", tmp_path / "driver"
    files.mkdir()
    for name in ("nvidiactl", "nvidia-uvm", "nvidia-caps"):
        (files / name).touch()
    monkeypatch.setattr(devices, "DEVICE_FILES", files)
    monkeypatch.setattr(devices, "DRIVER_GPUS", driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def add(*minors: int, told: dict[str, tuple[int, str]] | None = None) -> None:
        for minor in minors:
            (files / f"nvidia{minor}").touch()
        for address, (minor, uuid) in (told or {}).items():
            (driver / address).mkdir(parents=True)
            (driver / address / "information").write_text(INFORMATION.format(uuid, address, minor))

    return add


@pytest.fixture
def three(install: Install) -> None:
    """GPUs whose device files are not numbered in the order of their addresses."""
    install(0, 1, 2, told={f"0000:{7 - n}0:00.0": (n, UUIDS[2 - n]) for n in range(3)})


def visible(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)


def test_what_serves_a_device(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(*range(8))
    visible(monkeypatch, "4,0,7")
    assert devices.candidate_gpus("auto", ALL) == ["4", "0", "7"]
    assert devices.candidate_gpus("cuda", ALL) == ["4", "0", "7"]
    assert devices.candidate_gpus("cuda:2", ALL) == ["7"]
    assert devices.candidate_gpus("cpu", ALL) == []
    assert devices.candidate_gpus("auto", ("cpu",)) == []
    assert devices.cuda_device("7") == "cuda:2"
    assert devices.cuda_device(None) is None


def test_a_gpu_that_is_not_there(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(0)
    with pytest.raises(Unavailable, match=r"device=cuda:1: .* available: cpu, cuda:0"):
        devices.candidate_gpus("cuda:1", ALL)
    visible(monkeypatch, "")
    with pytest.raises(Unavailable, match=r"device=cuda: .* available: cpu$"):
        devices.candidate_gpus("cuda", ALL)
    assert devices.candidate_gpus("auto", ALL) == []


@pytest.mark.parametrize("names", ["0", "0,1", "", "NoDevFiles", "-1", "all", "GPU-aa11", "MIG-aa11", None])
def test_no_device_files_no_gpus(
    install: Install, monkeypatch: pytest.MonkeyPatch, names: str | None
) -> None:
    install(told={"0000:10:00.0": (0, UUIDS[0])})
    if names is not None:
        visible(monkeypatch, names)
    assert gpus() == []


def test_gpus_are_found_by_their_device_files(install: Install) -> None:
    install(2, 10)
    assert gpus() == ["0", "1"]  # as CUDA numbers them
    assert physical_gpus() == {"0": "2", "1": "10"}


def test_a_device_file_that_may_not_be_opened(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(0, 3)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name == "nvidia3")
    assert physical_gpus() == {"0": "3"}


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("names", "found"),
    [
        (None, {"0": "2", "1": "1", "2": "0"}),  # in the order of their addresses
        ("2,0", {"2": "0", "0": "2"}),
        ("0, 1", {"0": "2", "1": "1"}),
        ("0,2,-1,1", {"0": "2", "2": "0"}),
        ("0,3,1", {"0": "2"}),
        ("0,x,1", {"0": "2"}),
        ("0,,1", {"0": "2"}),
        ("-1", {}),
        ("", {}),
        ("NoDevFiles", {}),
        ("1,0,1", {}),  # CUDA sees none
        ("1gpu", {"1gpu": "1"}),
        ("GPU-aa11-1", {"GPU-aa11-1": "2"}),
        ("GPU-bb,GPU-aa2", {"GPU-bb": "0", "GPU-aa2": "1"}),
        ("GPU-bb,GPU-cc,GPU-aa2", {"GPU-bb": "0"}),
        ("GPU-bb,1", {"GPU-bb": "0"}),
        ("1,GPU-bb", {"1": "1"}),
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
    assert physical_gpus() == found
    assert gpus() == list(found)


def test_uuids_that_the_driver_hides(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does until a GPU is used for the first time."""
    hidden = "GPU-????????-????"
    install(0, told={"0000:10:00.0": (0, hidden)})
    visible(monkeypatch, "GPU-aa")
    assert physical_gpus() == {"GPU-aa": "0"}  # it can be no other
    install(1, told={"0000:20:00.0": (1, hidden)})
    assert physical_gpus() == {"GPU-aa": "GPU-aa"}


def test_threads_are_all_cores_or_a_share_for_each_gpu(install: Install) -> None:
    here = devices.core_count()
    assert devices.thread_count(None, gpu=True) == here
    install(0, 1)
    assert devices.thread_count(None, gpu=False) == here
    assert devices.thread_count(None, gpu=True) == max(1, here // 2)
    assert devices.thread_count(1, gpu=True) == 1
    with pytest.raises(Unavailable, match=f"may use {here} of the"):
        devices.thread_count(here + 1, gpu=False)
