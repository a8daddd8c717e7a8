"""What a process with one shard does; `Worker` in `harness.backends.numpy.workers` is the other side."""

import os
import select
import signal
import traceback
from contextlib import suppress
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import NoReturn

import numpy as np

from harness.backends.affinity import pin
from harness.backends.numpy.shard import Shard
from harness.backends.numpy.shared_memory import attached

POLLS = 1000  # about a millisecond


class Poller:
    """Polls for a message before it blocks: waking a sleeping core takes longer than most messages do."""

    def __init__(self, connection: Connection) -> None:
        self.poll = select.poll()
        self.poll.register(connection, select.POLLIN)

    def wait(self) -> None:
        """Returns when there is a message, or after POLLS polls without one."""
        for _ in range(POLLS):
            if self.poll.poll(0):
                return
            os.sched_yield()  # to other processes with work for this core


def serve(connection: Connection) -> None:
    """Receives arrays and makes calls, until the other side has closed the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the session's process decides
    with suppress(EOFError, ConnectionError):
        _serve(connection)


def _serve(connection: Connection) -> NoReturn:
    setup, number, cores = connection.recv()
    pin(cores)
    arrays: dict[str, np.ndarray] = {}
    shard: Shard | None = None
    poller = Poller(connection)
    while True:
        poller.wait()
        name, *content = connection.recv()
        if len(content) == 2:
            fd = reduction.recv_handle(connection)
            arrays[name] = attached(fd, *content)
            os.close(fd)
            continue
        try:
            shard = shard or Shard(setup, number, arrays)
            answer = False, getattr(shard, name)(*content[0])
        except Exception as error:  # noqa: BLE001  the caller raises it
            traceback.print_exc()
            answer = True, error
        connection.send(answer)
