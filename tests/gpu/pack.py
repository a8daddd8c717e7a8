"""Prepares `.gpu/`, what a machine with a GPU and no network needs beside this checkout.

    python tests/gpu/pack.py            downloads wheels, copies MNIST, lists the commit's files
    python tests/gpu/pack.py --check    what is in the folder, its size, and whether it is whole

The wheels are those of packages that images with PyTorch and JAX for CUDA usually lack, in the versions of
constraints.txt; MNIST comes from HARNESS_DATA. Ends with what is to be typed on that machine.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # as a file it finds neither this package nor the harness
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from harness.data.dataset import default_root, load
from harness.data.mnist import files_of
from harness.errors import DataError
from harness.measure import copied_revision, machine
from tests.gpu.prepared import DATA, FOLDER, REVISION, ROOT, SITE, WHEELS

# packages that have wheels
BINARY = ("hydra-core", "omegaconf", "keras", "namex", "optree", "orjson", "platformdirs", "pooch")
SOURCES = ("antlr4-python3-runtime",)  # a wheel is built from these
PYTHON = "3.12"
# pip takes the numbers literally, and packages name different ones
GLIBC = ("2_28", "2_27", "2_17", "2_5")
PLATFORMS = (*(f"manylinux_{glibc}_x86_64" for glibc in GLIBC), "manylinux2014_x86_64", "manylinux1_x86_64")
LIMIT_BYTES = 64 * 2**20  # of what can be carried to such a machine, the checkout included


class PackError(Exception):
    """What cannot be prepared, in one line."""


def versions(names: Sequence[str]) -> dict[str, str]:
    """The packages' versions in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split(";")[0].strip().split("==") for line in lines if "==" in line)
    return {name: pinned[name] for name in names}


def pip(*arguments: str) -> None:
    """Raises PackError with the last line that it says."""
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()
        raise PackError(f"pip {arguments[0]}: {said[-1]}")


def fetch_wheels(place: Path) -> None:
    """Downloads and builds the wheels for Python PYTHON on Linux and x86-64."""
    place.mkdir(parents=True)
    pinned = [f"{name}=={version}" for name, version in versions(BINARY).items()]
    target = ("--python-version", PYTHON, "--implementation", "cp", "--only-binary=:all:")
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    pip("download", "--quiet", "--no-deps", *target, *platforms, "--dest", str(place), *pinned)
    sources = [f"{name}=={version}" for name, version in versions(SOURCES).items()]
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), *sources)


def copy_mnist(place: Path) -> None:
    """Raises DataError where MNIST is missing or damaged."""
    root, files = default_root(), files_of("mnist")
    assert files is not None
    load("mnist", root)  # verifies every file
    target = place / files.name
    target.mkdir(parents=True)
    for file in files.files:
        path = files.find(root, file)
        assert path is not None
        shutil.copyfile(path, target / path.name)


def prepare(folder: Path) -> None:
    """Replaces what was prepared before; raises PackError and DataError."""
    revision = machine.git_revision() or "+"
    if revision.endswith("+"):
        raise PackError("records carry the revision that made them: commit first")
    for part in (WHEELS, DATA, SITE):
        shutil.rmtree(folder / part, ignore_errors=True)
    fetch_wheels(folder / WHEELS)
    copy_mnist(folder / DATA)
    tree = machine.git("ls-tree", "-r", "-z", revision)
    assert tree is not None
    copied_revision.write(folder / REVISION, revision, tree)


def problems(folder: Path) -> list[str]:
    """What keeps the folder from being carried, a line each."""
    found = []
    for name, version in versions((*BINARY, *SOURCES)).items():
        start = f"{name.replace('-', '_')}-{version}-"
        wheels = [
            path.name for path in (folder / WHEELS).glob("*.whl") if path.name.lower().startswith(start)
        ]
        if len(wheels) != 1:
            found.append(f"{name} {version}: {len(wheels)} wheels in {folder / WHEELS}, must be 1")
    try:
        load("mnist", folder / DATA)
    except DataError as error:
        found.append(str(error).splitlines()[0])
    listed, here = copied_revision.commit(folder / REVISION), machine.git_revision()
    if listed != here:
        found.append(f"{folder / REVISION}: lists the files of {listed}, and this checkout is at {here}")
    if carried(folder) > LIMIT_BYTES:
        found.append(f"{carried(folder) / 2**20:.1f} MiB with the checkout, at most {LIMIT_BYTES // 2**20}")
    return found


def carried(folder: Path) -> int:
    """Bytes of the files in the folder and of git's files in the checkout."""
    tracked = [ROOT / name for name in (machine.git("ls-files", "-z") or "").split("\0")]
    return sum(path.stat().st_size for path in (*folder.rglob("*"), *tracked) if path.is_file())


def contents(folder: Path) -> str:
    """What is in the folder, and the size of all that is carried."""
    lines = [
        f"{path.stat().st_size / 2**20:8.2f} MiB  {path.relative_to(folder)}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and SITE not in path.relative_to(folder).parts
    ]
    total = f"{carried(folder) / 2**20:8.2f} MiB with the checkout, of {LIMIT_BYTES // 2**20}"
    return "\n".join([*lines, total])


def what_to_type(folder: Path) -> str:
    return f"""
Take this checkout with {folder.name}/ to the machine, and type there, in the checkout:
    make gpu PYTHON=python3 ARGS="--output DIRECTORY"
or, without make:
    python3 -m tests.gpu --output DIRECTORY
It leaves one file in DIRECTORY; then, here:
    python results/publish.py gpu DIRECTORY/gpu-….tgz"""


def main() -> int:
    """0: the folder is whole; 1: it is not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="changes nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    try:
        if not args.check:
            prepare(args.folder)
    except (PackError, DataError) as error:
        print(error, file=sys.stderr)
        return 1
    print(contents(args.folder))
    if found := problems(args.folder):
        print("\n".join(found), file=sys.stderr)
        return 1
    print(what_to_type(args.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
