"""The shards of a session: the first in this process, every other in a process of its own.

Threads of one interpreter would wait for each other between any two kernels. Weights, gradients and data
lie in shared memory, and a call goes to a process as a short message.
"""

import os
import pickle
import subprocess
import sys
import weakref
from contextlib import suppress
from multiprocessing import Pipe, reduction
from typing import Any

import numpy as np

from harness.backends.base import Setup
from harness.backends.numpy.shard import Shard
from harness.backends.numpy.shared_memory import SharedArray
from harness.backends.numpy.worker_process import Awake
from harness.errors import WorkerDied
from harness.model.cell import Shape
from harness.text import exit_description

GRACE_SECONDS = 5.0
# it finds what this process finds, but nothing that only the way of starting would put before the rest
START = """
import sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
(sys.path[:],) = connection.recv()
from harness.backends.numpy.worker_process import serve
serve(connection)
"""


class Team:
    """As many shards as the setup has threads. Processes start when they are first needed."""

    def __init__(self, setup: Setup, size: int) -> None:
        """`size` numbers of weights."""
        self.setup = setup
        self.arrays: dict[str, np.ndarray] = {}
        self.workers: list[Worker] = []
        self.shared: dict[str, SharedArray] = {}
        self._finalizer = weakref.finalize(self, _end, self.workers, self.shared)
        self.array("weights", (size,), setup.precision)
        self.array("gradients", (setup.threads, size), setup.precision)
        self.first = Shard(setup, 0, self.arrays)

    def put(self, name: str, values: np.ndarray) -> None:
        """Gives all shards these values under a name."""
        if self.setup.threads == 1:
            self.arrays[name] = values
        else:
            self.array(name, values.shape, values.dtype)[...] = values

    def array(self, name: str, shape: Shape, dtype: Any) -> np.ndarray:
        """A new array of this name for all shards, zeros."""
        if self.setup.threads == 1:
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

    def room(self, name: str, size: int, dtype: Any) -> np.ndarray:
        """The flat array of this name, in which there is room for so many numbers; it grows as needed."""
        found = self.arrays.get(name)
        return found if found is not None and len(found) >= size else self.array(name, (size,), dtype)

    def start(self, count: int) -> None:
        """Has processes for so many shards beside the first, without waiting until they are ready."""
        while len(self.workers) < count:
            worker = Worker(self.setup, len(self.workers) + 1)
            self.workers.append(worker)
            for name, shared in self.shared.items():
                worker.hold(name, shared)

    def call(self, method: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
        """What `method` of the first shards returns, one for each of the arguments, all at once.

        Raises what a shard raised, and WorkerDied where a process has ended. Other shards than the first
        then begin anew.
        """
        others = arguments[1:]
        self.start(len(others))
        workers = self.workers[: len(others)]
        try:
            for worker, each in zip(workers, others, strict=True):
                worker.send(method, each)
            return [getattr(self.first, method)(*arguments[0]), *(worker.result() for worker in workers)]
        except BaseException:  # an answer may be on its way that nobody waits for
            _stop(self.workers)
            raise

    def close(self) -> None:
        """Ends the processes, and lets go of the arrays."""
        self._finalizer()
        self.arrays.clear()
        self.first.networks.clear()


class Worker:
    """A process with one shard."""

    def __init__(self, setup: Setup, number: int) -> None:
        self.number = number
        self.connection, other = Pipe()
        env = dict(os.environ)
        for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM"):
            env[f"{name}_NUM_THREADS"] = "1"
        with other:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                env=env,
            )
        self.awake = Awake(self.connection)
        self._told(sys.path)
        self._told(setup, number)

    def hold(self, name: str, shared: SharedArray) -> None:
        """Gives it an array; it answers nothing."""
        self._told(name, shared.array.shape, shared.array.dtype.str)
        with suppress(ConnectionError):
            reduction.send_handle(self.connection, shared.fd, self.process.pid)

    def send(self, method: str, arguments: tuple[Any, ...]) -> None:
        self._told(method, arguments)

    def result(self) -> Any:
        """What the method returned; raises what it raised, or WorkerDied."""
        self.awake.wait()
        try:
            failed, value = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise self._lost() from None
        if failed:
            raise value
        return value

    def end(self) -> None:
        """Without waiting for what it is doing."""
        self.connection.close()
        self.process.kill()
        self.process.wait(GRACE_SECONDS)

    def _told(self, *message: Any) -> None:
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
