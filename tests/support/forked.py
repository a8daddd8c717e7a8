"""Python commands that begin at once: each is forked from a process that has imported what they import.

To start takes most commands longer than what a test asks of them. Arguments, environment, directory, output
and exit status are a command's own, as of a process that was started; only its modules are there already.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

SECONDS = 300.0  # until a command is ended

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.support.imported"])


def possible(arguments: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether a command may be forked: not where Python itself is to start otherwise, nor where a launcher
    starts processes by what it finds in its own, nor where PYTHONPATH has what is imported already from
    elsewhere; and macOS' libraries do not bear it."""
    otherwise = {name for name in env if name.startswith("PYTHON") and env[name] != os.environ.get(name)}
    plain = not any(argument.startswith("hydra/launcher") for argument in arguments)
    return (
        sys.platform == "linux"
        and plain
        and otherwise <= {"PYTHONPATH"}
        and not _late(_folders(env), _imported())
    )


def python(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What `python FILE …` or `python -m MODULE …` does."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("stdout", "stderr")]
        for stream in streams:
            stream.touch()
        process = processes.Process(target=_become, args=(list(arguments), cwd, dict(env), streams))
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), SECONDS)
        out, err = (stream.read_text("utf-8", "replace") for stream in streams)
    return subprocess.CompletedProcess([sys.executable, *arguments], process.exitcode, out, err)


def _become(arguments: list[str], cwd: Path, env: dict[str, str], streams: list[Path]) -> None:
    """In the forked process: does what Python does between its start and a program's first line."""
    for fd, path in enumerate(streams, start=1):
        with path.open("ab") as file:
            os.dup2(file.fileno(), fd)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None
    _search(_folders(env))
    if arguments[0] == "-m":
        sys.path.insert(0, str(cwd))
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str((cwd / arguments[0]).parent))
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


@cache
def _imported() -> dict[str, str]:
    """The files of what a forked process has imported when it begins, by name."""
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=_tell, args=(there,))
    process.start()
    found: dict[str, str] = here.recv()
    process.join()
    return found


def _tell(whom: Connection) -> None:
    """In the forked process."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    whom.send({name: file for name, file in files.items() if file})


def _folders(env: Mapping[str, str]) -> list[Path]:
    """Those of PYTHONPATH."""
    return [
        Path(folder) for folder in env.get("PYTHONPATH", "").split(os.pathsep) if Path(folder or " ").is_dir()
    ]


def _late(folders: Sequence[Path], imported: Mapping[str, str]) -> list[str]:
    """What these folders have that is imported already from elsewhere."""
    return [
        name
        for folder in folders
        for name in {entry.stem for entry in folder.iterdir()} & imported.keys() - {"sitecustomize"}
        if not Path(imported[name]).is_relative_to(folder)
    ]


def _search(folders: Sequence[Path]) -> None:
    """Puts the folders of PYTHONPATH first, and runs a `sitecustomize` in them, as Python does."""
    sys.path[:0] = map(str, folders)
    sys.modules.pop("sitecustomize", None)
    with suppress(ImportError):
        __import__("sitecustomize")
