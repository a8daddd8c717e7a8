"""Optional packages, each with the extra of this project that installs it."""

from importlib import import_module
from typing import Any

from harness.errors import Unavailable

EXTRAS = {"optuna": "optuna", "ray": "ray", "submitit": "slurm"}


def require(package: str) -> Any:
    """Imports an optional package. Raises Unavailable, with the command that installs it, without it."""
    try:
        return import_module(package)
    except ImportError as error:
        raise Unavailable(
            f'{package} is not installed: pip install -c constraints.txt ".[{EXTRAS[package]}]"'
        ) from error
