"""Which cores and GPUs a run may have, told from the system alone."""

from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.measure import devices
from harness.measure.machine import cores

ALL = ("cpu", "cuda", "mps")


def visible(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)


def test_what_serves_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    visible(monkeypatch, "4,GPU-ab,7")
    assert devices.candidate_gpus("auto", ALL) == ["4", "GPU-ab", "7"]
    assert devices.candidate_gpus("cuda", ALL) == ["4", "GPU-ab", "7"]
    assert devices.candidate_gpus("cuda:2", ALL) == ["7"]
    assert devices.candidate_gpus("cpu", ALL) == []
    assert devices.candidate_gpus("auto", ("cpu",)) == []
    assert devices.cuda_device("7") == "cuda:2"
    assert devices.cuda_device(None) is None


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    visible(monkeypatch, "0")
    with pytest.raises(Unavailable, match=r"device=cuda:1: .* available: cpu, cuda:0"):
        devices.candidate_gpus("cuda:1", ALL)
    visible(monkeypatch, "")
    with pytest.raises(Unavailable, match=r"device=cuda: .* available: cpu$"):
        devices.candidate_gpus("cuda", ALL)
    assert devices.candidate_gpus("auto", ALL) == []


def test_gpus_are_found_by_their_device_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    names = ("nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm")
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [Path("/dev") / name for name in names])
    assert devices.gpus() == ["2", "10"]


def test_threads_are_all_cores_or_a_share_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    here = len(cores())
    visible(monkeypatch, "0,1")
    assert devices.thread_count(None, gpu=False) == here
    assert devices.thread_count(None, gpu=True) == max(1, here // 2)
    assert devices.thread_count(1, gpu=True) == 1
    with pytest.raises(Unavailable, match=f"may use {here} cores"):
        devices.thread_count(here + 1, gpu=False)
