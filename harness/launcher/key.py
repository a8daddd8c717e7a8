"""The key of a run: a hash of what determines its result, not of where it is written."""

import hashlib
import json
from importlib import import_module
from pathlib import Path

from harness import __version__, data
from harness.config import dataset
from harness.config.identity import SPLIT, essential
from harness.config.schema import Config
from harness.measure.machine import machine_info, versions
from harness.store import weights


def run_key(config: Config, threads: int) -> str:
    """20 hexadecimal digits over configuration, contents of weights and data, machine and versions.

    Raises WeightsError or DataError where the configuration names a file that cannot be read.
    """
    values = essential(config.to_mapping())
    if config.weights:
        values["weights"] = weights.fingerprint(Path(config.weights))
    if config.data.name == data.NPZ:
        values["data"]["sha256"] = dataset.fingerprint(config)
    else:
        values["data"] = {key: value for key, value in values["data"].items() if key not in SPLIT}
    package = import_module(f"harness.backends.{config.backend.name}")
    needed = {"numpy", *package.PACKAGES, *([config.backend.engine] if config.backend.engine else [])}
    parts = {
        "config": values,
        "threads": threads,
        "machine": {key: machine_info()[key] for key in ("architecture", "cpu", "cores")},
        "versions": {name: version for name, version in versions().items() if name in needed},
        "harness": __version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]
