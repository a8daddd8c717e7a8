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

from harness.backends.numpy.shard import Shard
from harness.backends.numpy.shared_memory import attached

LOOKS = 1000  # about a millisecond


class Awake:
    """Looks for a message for a while: to wake a core that sleeps takes longer than most messages do."""

    def __init__(self, connection: Connection) -> None:
        self.poll = select.poll()
        self.poll.register(connection, select.POLLIN)

    def wait(self) -> None:
        """Returns when there is something to receive, or it takes long."""
        for _ in range(LOOKS):
            if self.poll.poll(0):
                return
            os.sched_yield()  # to whoever else has work on this core


def serve(connection: Connection) -> None:
    """Takes arrays and makes calls, until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the session's process decides
    with suppress(EOFError, ConnectionError):
        _serve(connection)


def _serve(connection: Connection) -> NoReturn:
    setup, number = connection.recv()
    arrays: dict[str, np.ndarray] = {}
    shard: Shard | None = None
    awake = Awake(connection)
    while True:
        awake.wait()
        name, *content = connection.recv()
        if len(content) == 2:
            fd = reduction.recv_handle(connection)
            arrays[name] = attached(fd, *content)
            os.close(fd)
            continue
        try:
            shard = shard or Shard(setup, number, arrays)
            answer = False, getattr(shard, name)(*content[0])
        except Exception as error:  # noqa: BLE001  whatever it is belongs to the caller
            traceback.print_exc()
            answer = True, error
        connection.send(answer)
