"""The shards of a session: the first in this process, every other in a process of its own.

Threads of one interpreter would wait for each other between any two kernels. Weights, gradients and data
lie in shared memory, and a call goes to a process as a short message. What a shard computes is its
backend's: a class that is called with the setup, its number and the arrays.
"""

import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe, reduction
from typing import Any, Generic

import numpy as np

from harness.backends.base import Setup
from harness.backends.processes.affinity import Cores, cores_for, pinned
from harness.backends.processes.shared_memory import SharedArray
from harness.backends.processes.worker_process import Poller, S, ShardClass
from harness.errors import WorkerDied
from harness.model.cell import Shape
from harness.model.precision import held_in
from harness.text import exit_description

GRACE_SECONDS = 5.0
# the worker imports from the same path as this process, without the entries that starting Python adds
BOOTSTRAP = """
import sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
(sys.path[:],) = connection.recv()
from harness.backends.processes.worker_process import serve
serve(connection)
"""


class WorkerPool(Generic[S]):
    """Shards, each with its number of `threads`. Processes start when they are first needed.

    The arrays `weights` (size,) and `gradients` (shards, size) are there from the beginning.
    """

    def __init__(self, kind: ShardClass[S], setup: Setup, size: int, threads: Sequence[int]) -> None:
        self.kind, self.setup, self.threads = kind, setup, threads
        self.arrays: dict[str, np.ndarray] = {}
        self.workers: list[Worker] = []
        self.cores = cores_for(threads)  # of the shards
        self.shared: dict[str, SharedArray] = {}
        self._finalizer = weakref.finalize(self, _end, self.workers, self.shared)
        dtype = held_in(setup.precision)
        self.array("weights", (size,), dtype)
        self.array("gradients", (len(threads), size), dtype)
        self.first = kind(setup, 0, self.arrays)

    def put(self, name: str, values: np.ndarray) -> None:
        """Gives all shards these values under a name."""
        if len(self.threads) == 1:
            self.arrays[name] = values
        else:
            self.array(name, values.shape, values.dtype)[...] = values

    def array(self, name: str, shape: Shape, dtype: Any) -> np.ndarray:
        """A new array of this name for all shards, zeros."""
        if len(self.threads) == 1:
            self.arrays[name] = np.zeros(shape, dtype)
            return self.arrays[name]
        new = SharedArray(shape, dtype)
        old = self.shared.pop(name, None)
        if old is not None:
            old.close()
        self.shared[name] = new
        self.arrays[name] = new.array
        for worker in self.workers:
            worker.hold(name, new)
        return new.array

    def buffer(self, name: str, size: int, dtype: Any) -> np.ndarray:
        """The flat array of this name, with room for at least `size` numbers; it is replaced by a larger one
        where it is too small."""
        array = self.arrays.get(name)
        return array if array is not None and len(array) >= size else self.array(name, (size,), dtype)

    def start(self, count: int) -> None:
        """Starts processes until there are `count` besides the first shard, without waiting for them."""
        while len(self.workers) < count:
            number = len(self.workers) + 1
            worker = Worker(self.kind, self.setup, number, self.threads[number], self.cores[number])
            self.workers.append(worker)
            for name, shared in self.shared.items():
                worker.hold(name, shared)

    def call(self, method: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
        """Calls `method` of one shard for each tuple of arguments, all at once; returns their results.

        Raises what a shard raised, and WorkerDied where a process has ended. All processes are then
        stopped, and started again by the next call.
        """
        others = arguments[1:]
        self.start(len(others))
        workers = self.workers[: len(others)]
        try:
            for worker, each in zip(workers, others, strict=True):
                worker.send(method, each)
            with pinned(self.cores[0] if others else ()):
                first = getattr(self.first, method)(*arguments[0])
            return [first, *(worker.result() for worker in workers)]
        except BaseException:  # a worker may still send an answer that the next call would take for its own
            _stop(self.workers)
            raise

    def close(self) -> None:
        """Ends the processes, and lets go of the arrays."""
        self._finalizer()
        self.arrays.clear()
        self.first.close()


class Worker:
    """A process with one shard, on the cores that are given, if any are."""

    def __init__(
        self,
        kind: ShardClass[Any],
        setup: Setup,
        number: int,
        threads: int,
        cores: Cores,
    ) -> None:
        self.number = number
        self.connection, other = Pipe()
        env = dict(os.environ)
        for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM"):
            env[f"{name}_NUM_THREADS"] = str(threads)
        with other:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOTSTRAP, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                env=env,
            )
        self.poller = Poller(self.connection)
        self._send(sys.path)
        self._send(kind, setup, number, cores)

    def hold(self, name: str, shared: SharedArray) -> None:
        """Shares an array with the process, which sends no answer."""
        self._send(name, shared.array.shape, shared.array.dtype.str)
        with suppress(ConnectionError):
            reduction.send_handle(self.connection, shared.fd, self.process.pid)

    def send(self, method: str, arguments: tuple[Any, ...]) -> None:
        self._send(method, arguments)

    def result(self) -> Any:
        """What the method returned; raises what it raised, or WorkerDied."""
        self.poller.wait()
        try:
            failed, value = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise self._lost() from None
        if failed:
            raise value
        return value

    def end(self) -> None:
        """Kills the process, whatever it is computing."""
        self.connection.close()
        self.process.kill()
        self.process.wait(GRACE_SECONDS)

    def _send(self, *message: Any) -> None:
        with suppress(ConnectionError):  # it has ended: `result` says so
            self.connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def _lost(self) -> WorkerDied:
        code = self.process.wait(GRACE_SECONDS)
        return WorkerDied(f"the process of shard {self.number} was {exit_description(code)}", code)


def _stop(workers: list[Worker]) -> None:
    while workers:
        workers.pop().end()


def _end(workers: list[Worker], shared: dict[str, SharedArray]) -> None:
    _stop(workers)
    while shared:
        shared.popitem()[1].close()
