"""Leases on cores: held alone, given back, also by the dead."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from harness.environment import cores
from harness.lease import lease


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


def test_a_gpu_is_leased_alone(own_locks: Path) -> None:
    with lease(1, ["0", "1"], pytest.fail) as first:
        if len(cores()) > 1:
            with lease(1, ["0", "1"], pytest.fail) as second:
                assert {first.gpu, second.gpu} == {"0", "1"}
        assert first.gpu == "0"
