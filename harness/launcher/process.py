"""The child process of a run: its environment, its events, its end."""

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from harness.config.schema import Config
from harness.errors import HarnessError
from harness.launcher import variables
from harness.launcher.lease import Lease
from harness.launcher.output_log import Output
from harness.measure.clock import seconds
from harness.measure.machine import PROJECT
from harness.runner import protocol
from harness.runner.protocol import Job, Message

GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL
LONGEST_WAIT = 3600.0  # seconds that the system is asked to wait at once: it refuses some weeks
TAIL = 4096  # bytes of the output that are looked at
# imports `harness` from this project before the project is on the path, where it comes last
BOOTSTRAP = """
import runpy
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
project, module = sys.argv[1:3]
del sys.argv[1:3]
if "harness" not in sys.modules:
    spec = PathFinder.find_spec("harness", [project])
    sys.modules["harness"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["harness"])
sys.path.append(project)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
MARK = "HARNESS_RUN"  # in the environment of a run's processes: the directory of its attempt


class TimedOut(Exception):
    """The child was still at it when its time was over."""


def environment(config: Config, lease: Lease) -> dict[str, str]:
    """The environment of a run or of a side: what the variables of this process may tell it, and what the
    launcher sets."""
    return variables.inherited() | variables_set(config, lease)


def variables_set(config: Config, lease: Lease) -> dict[str, str]:
    """What must be set before a run imports anything: threads, engine, visible devices."""
    threads = str(len(lease.cores))
    pools = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
    env = {f"{name}_NUM_THREADS": threads for name in pools} | {
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TORCHINDUCTOR_COMPILE_THREADS": threads if lease.gpu else "1",  # Triton's kernels take long
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # the first call's seconds are those of compiling
        "CUDA_VISIBLE_DEVICES": lease.gpu or "",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the order in which harness/measure/devices.py numbers GPUs
        "PYTHONUNBUFFERED": "1",
    }
    if lease.gpu:
        env["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS and cuDNN's RNNs give the same results each time
    if config.backend.engine:
        env["KERAS_BACKEND"] = config.backend.engine
    return env


def python_command(module: str, *arguments: str) -> list[str]:
    """`python -m module arguments`, but what lies in the working directory or beside this project is never
    imported in place of a library, and `harness` is this one, installed or not."""
    return [sys.executable, "-P", "-c", BOOTSTRAP, str(PROJECT), module, *arguments]


class Child:
    """One run in a process group of its own. Use as a context: the group is gone at its end."""

    def __init__(self, job: Job, lease: Lease) -> None:
        """Starts it; raises HarnessError where the system has no process to give."""
        self.mark = str(job.directory)
        timeout = job.config.run.timeout_seconds
        self.deadline = None if timeout is None else seconds() + timeout
        self.over = threading.Event()
        self.over_fd, over_fd = os.pipe()
        self.messages_fd, messages_fd = os.pipe()
        try:
            self.output = Output(job.directory / "output.log", self.over_fd)
            with os.fdopen(self.output.pipe, "wb") as printed:
                self.process = subprocess.Popen(
                    python_command("harness.runner", str(messages_fd)),
                    stdin=subprocess.PIPE,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    pass_fds=[messages_fd],
                    start_new_session=True,
                    env={**environment(job.config, lease), MARK: self.mark},
                )
        except BaseException as error:
            for fd in (self.over_fd, over_fd, self.messages_fd):
                os.close(fd)
            if isinstance(error, OSError):
                raise HarnessError(f"no process could be started for the run: {error.strerror}") from error
            raise
        finally:
            os.close(messages_fd)
        threading.Thread(target=self._watch, args=(over_fd,), daemon=True).start()
        self._send(json.dumps(job.to_mapping()).encode())

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.output.close()
        os.close(self.messages_fd)
        os.close(self.over_fd)
        with suppress(BrokenPipeError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def _send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died: the end of its events says so
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def answer(self) -> None:
        """Lets the child go on after a message that waits for an answer."""
        self._send(b"")

    def _watch(self, fd: int) -> None:
        """In a thread: says when the process has ended, by an event and by closing this end of a pipe."""
        self.process.wait()
        self.over.set()
        os.close(fd)

    def messages(self) -> Iterator[Message]:
        """The child's messages as they come, until it closes them or ends.

        Raises TimedOut at the deadline, InvalidMessage for a line that is not a message.
        """
        rest = bytearray()
        for chunk in self._chunks():
            rest += chunk
            if b"\n" in chunk:
                *lines, rest = rest.split(b"\n")
                yield from map(protocol.parse, lines)
            if len(rest) > protocol.MAX_BYTES:
                raise protocol.invalid(rest)

    def _chunks(self) -> Iterator[bytes]:
        """What it writes to its events, as it comes. A process that it leaves behind may hold the pipe
        open: its own end counts too."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.messages_fd, selectors.EVENT_READ)
            selector.register(self.over_fd, selectors.EVENT_READ)
            while True:
                left = LONGEST_WAIT if self.deadline is None else self.deadline - seconds()
                if left <= 0:
                    raise TimedOut
                ready = {key.fd for key, _ in selector.select(min(left, LONGEST_WAIT))}
                if self.messages_fd in ready:
                    chunk = os.read(self.messages_fd, 65536)
                    if not chunk:
                        return
                    yield chunk
                elif self.over_fd in ready:
                    return

    def wait(self) -> int | None:
        """Its exit status, negative for a signal; called when its events have ended. None where it did not
        end then, and was made to."""
        if self.over.wait(GRACE_SECONDS):
            return self.process.returncode
        self.kill()
        return None

    def kill(self) -> None:
        """Ends the whole process group, politely first, and what has left it."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self.over.is_set():
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, sign)
                self.over.wait(GRACE_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what it left behind
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):  # it has ended, or is another user's
                if process.environ().get(MARK) == self.mark:
                    process.kill()

    def last_output(self, lines: int = 3) -> str:
        """The end of what it printed, on one line; for when it is over."""
        text = self.output.last(TAIL).decode(errors="replace")
        return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())


def kernel_oom_kills() -> int:
    """How often the kernel has killed for memory: in this process' control group, or where that is not told
    on the whole machine; 0 where neither is."""
    with suppress(OSError, ValueError, IndexError, KeyError):
        group = Path("/proc/self/cgroup").read_text().strip().splitlines()[-1].split(":", 2)[2]
        return _count(Path(f"/sys/fs/cgroup{group}/memory.events"))
    with suppress(OSError, ValueError, KeyError):
        return _count(Path("/proc/vmstat"))
    return 0


def _count(path: Path) -> int:
    return int(dict(line.split() for line in path.read_text().splitlines())["oom_kill"])
