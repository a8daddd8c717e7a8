"""Runs Python commands in processes forked from one that has already imported what they import.

Most commands under test take longer to import their modules (0.6 s) than to do what the test asks for;
without forking `tests/commands/test_bad_input.py` takes 2.3 times as long. A forked command has its own
arguments, environment, directory, output and exit status, as if it had been started.
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
    """Whether a command may be forked. It must be started if it needs other settings of Python than this
    process has, if a Hydra launcher copies its own process, or if a folder of PYTHONPATH replaces a module
    that is already imported. macOS's libraries do not survive a fork."""
    otherwise = {name for name in env if name.startswith("PYTHON") and env[name] != os.environ.get(name)}
    plain = not any(argument.startswith("hydra/launcher") for argument in arguments)
    return (
        sys.platform == "linux"
        and plain
        and otherwise <= {"PYTHONPATH"}
        and not _replaced(_folders(env), _imported())
    )


def python(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs `python FILE …` or `python -m MODULE …` to its end."""
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
    """Makes the forked process what Python is at the first line of a program, and runs the program."""
    for fd, path in enumerate(streams, start=1):
        with path.open("ab") as file:
            os.dup2(file.fileno(), fd)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None
    _prepend(_folders(env))
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
    """The files of the modules that a forked process has at its start, by module name."""
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=_send_modules, args=(there,))
    process.start()
    files: dict[str, str] = here.recv()
    process.join()
    return files


def _send_modules(connection: Connection) -> None:
    """Sends the files of a forked process's modules."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    connection.send({name: file for name, file in files.items() if file})


def _folders(env: Mapping[str, str]) -> list[Path]:
    """The folders of PYTHONPATH."""
    return [
        Path(folder) for folder in env.get("PYTHONPATH", "").split(os.pathsep) if Path(folder or " ").is_dir()
    ]


def _replaced(folders: Sequence[Path], imported: Mapping[str, str]) -> list[str]:
    """Names of modules in these folders that are already imported from elsewhere: too late to replace."""
    return [
        name
        for folder in folders
        for name in {entry.stem for entry in folder.iterdir()} & imported.keys() - {"sitecustomize"}
        if not Path(imported[name]).is_relative_to(folder)
    ]


def _prepend(folders: Sequence[Path]) -> None:
    """Puts the folders of PYTHONPATH first, and runs a `sitecustomize` in them, as Python does."""
    sys.path[:0] = map(str, folders)
    sys.modules.pop("sitecustomize", None)
    with suppress(ImportError):
        __import__("sitecustomize")
