"""What `tests/gpu/pack.py` prepared, and how it is taken into use. Imports the standard library alone: on a
machine with a GPU the packages that the harness needs may be among what was prepared.
"""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".gpu"  # ignored by git
WHEELS, SITE, DATA, REVISION = "wheels", "site", "data", "revision.json"


class NotUsable(Exception):
    """Wheels that this Python cannot install."""


def use(folder: Path = FOLDER) -> None:
    """Puts what is missing here on the path of this process and of its children: every wheel whose package is
    not installed in that version, and the data, unless HARNESS_DATA says where data are.

    Raises NotUsable.
    """
    wheels = [wheel for wheel in sorted((folder / WHEELS).glob("*.whl")) if not installed(wheel)]
    site = folder / SITE
    if wheels:
        options = ("--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade")
        command = [sys.executable, "-m", "pip", "install", "--quiet", *options, "--target", str(site)]
        done = subprocess.run([*command, *map(str, wheels)], capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
            raise NotUsable(f"the wheels in {folder / WHEELS} cannot be installed here ({last})")
        paths = [str(site), str(ROOT)]
        sys.path[:0] = paths
        os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    if (folder / DATA).exists():
        os.environ.setdefault("HARNESS_DATA", str(folder / DATA))


def installed(wheel: Path) -> bool:
    """Whether the package of a wheel is installed here, in its version."""
    name, version = wheel.name.split("-")[:2]
    try:
        return metadata.version(name) == version
    except metadata.PackageNotFoundError:
        return False
