"""The `environment` of a record: the machine, what a run holds of it, and with which versions it computes."""

from typing import Any

from harness.config import catalogue
from harness.errors import Unavailable
from harness.launcher import variables
from harness.launcher.lease import Lease
from harness.measure import machine, nvml


def describe(held: Lease) -> dict[str, Any]:
    """The entries of a run that holds these cores and, where it has one, this GPU: `card` says which product
    it is, its driver, power limit and highest clocks, or why that is not known."""
    packages = catalogue.all_packages()
    if held.gpu:
        packages = (*packages, *catalogue.all_cuda_packages())
    described = machine.describe_environment(held.cores, held.gpu, packages, variables.recorded())
    return described | ({"card": _card(held.gpu)} if held.gpu else {})


def _card(gpu: str) -> dict[str, Any]:
    try:
        return nvml.Device(gpu).description()
    except Unavailable as error:
        return {"reason": str(error)}
