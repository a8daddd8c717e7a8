"""The child process of a run: its environment, its events, its end."""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.config import Config
from harness.job import Job
from harness.lease import Lease
from harness.measure.clock import seconds

GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL


class TimedOut(Exception):
    """The child was still at it when its time was over."""


def environment(config: Config, lease: Lease) -> dict[str, str]:
    """What must be set before the child imports anything: threads, engine, visible devices."""
    threads = str(len(lease.cores))
    env = dict(os.environ)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM"):
        env[f"{name}_NUM_THREADS"] = threads
    env |= {
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # the first call's seconds are those of compiling
        "CUDA_VISIBLE_DEVICES": lease.gpu or "",
        "PYTHONUNBUFFERED": "1",
    }
    if config.backend.engine:
        env["KERAS_BACKEND"] = config.backend.engine
    return env


class Child:
    """One run in a process group of its own. Use as a context: the group is gone at its end."""

    def __init__(self, job: Job, lease: Lease) -> None:
        self.log = job.directory / "output.log"
        timeout = job.config.run.timeout_seconds
        self.deadline = None if timeout is None else seconds() + timeout
        read, write = os.pipe()
        try:
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "harness.child", str(write)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[write],
                    start_new_session=True,
                    env=environment(job.config, lease),
                )
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        self.events_fd = read
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once: the end of its events says so
            self.process.stdin.write(json.dumps(job.to_mapping()).encode() + b"\n")
            self.process.stdin.flush()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        os.close(self.events_fd)
        with suppress(BrokenPipeError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def events(self) -> Iterator[dict[str, Any]]:
        """The child's events as they come, to the last; raises TimedOut at the deadline."""
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.events_fd, selectors.EVENT_READ)
            while True:
                left = None if self.deadline is None else max(0.0, self.deadline - seconds())
                if not selector.select(left):
                    raise TimedOut
                chunk = os.read(self.events_fd, 65536)
                if not chunk:
                    return
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines)

    def wait(self) -> int:
        """Its exit status, negative for a signal; called when its events have ended."""
        try:
            return self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def kill(self) -> None:
        """Ends the whole process group, politely first."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, sign)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(GRACE_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what it left behind

    def last_output(self, lines: int = 3) -> str:
        """The end of what it printed, on one line."""
        text = self.log.read_bytes()[-4096:].decode(errors="replace")
        return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())


def kernel_oom_kills() -> int:
    """How often the kernel has killed for memory in this process' control group; 0 where it is not told."""
    with suppress(OSError, ValueError, IndexError):
        group = Path("/proc/self/cgroup").read_text().strip().splitlines()[-1].split(":", 2)[2]
        text = Path(f"/sys/fs/cgroup{group}/memory.events").read_text()
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])
    return 0
