"""The key of a run: a hash of what determines its result, not of where it is written."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.config import catalogue, dataset
from harness.config.identity import SPLIT, essential
from harness.config.schema import Config
from harness.data.own_sequences import NPZ
from harness.launcher import variables
from harness.measure.devices import driver_version, model_of
from harness.measure.machine import HARNESS_VERSION, machine_info, versions
from harness.measure.quota import cpu_quota_entry
from harness.store import weights


def run_key(config: Config, threads: int, gpus: Sequence[str] = ()) -> str:
    """20 hexadecimal digits over configuration, contents of weights and data, machine, versions and
    environment variables; of a run that takes one of `gpus`, all of one model, also over that model, the
    driver and the libraries of CUDA.

    Raises WeightsError or DataError where the configuration names a file that cannot be read.
    """
    values = essential(config.to_mapping())
    if config.weights:
        values["weights"] = weights.fingerprint(Path(config.weights))
    if config.data.name == NPZ:
        values["data"]["sha256"] = dataset.fingerprint(config)
    else:
        values["data"] = {key: value for key, value in values["data"].items() if key not in SPLIT}
    packages = {"numpy", *catalogue.packages(config.backend.name, config.backend.engine)}
    parts: dict[str, Any] = {
        "config": values,
        "threads": threads,
        "machine": {key: machine_info()[key] for key in ("architecture", "cpu", "cores")},
        "versions": versions(packages),
        "harness": HARNESS_VERSION,
        **cpu_quota_entry(),
    }
    if gpus:
        libraries = catalogue.cuda_packages(config.backend.name, config.backend.engine)
        parts["gpu"] = {
            "name": model_of(gpus[0]),
            "driver": driver_version(),
            "libraries": versions(libraries),
        }
    if found := variables.recorded():
        parts["variables"] = found
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]
