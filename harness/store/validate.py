"""What the parts of a record must hold, as far as anything here relies on it."""

from collections.abc import Mapping
from types import NoneType
from typing import Any

TARGETS = ("seconds_to_target", "epochs_to_target", "steps_to_target")
NUMBER = frozenset({int, float, NoneType})  # one that was not finite is null
WINDOWS = ("windows", "inference_windows")
FLOWS = ("gradient_flow_before", "gradient_flow_after")


def misfit(values: Mapping[str, Any]) -> str | None:
    """The name of a part that does not hold what it should, None where all do. The columns' own types have
    been looked at before."""
    for name in TARGETS:
        if not _numbers(values.get(name) or {}):
            return name
    if not all(type(entry) is dict and _numbers(entry) for entry in values.get("history", [])):
        return "history"
    versions = values.get("environment", {}).get("versions", {})
    if type(versions) is not dict or not all(type(version) is str for version in versions.values()):
        return "environment.versions"
    return _of_details(values.get("details", {}))


def timing_misfit(timing: Mapping[str, Any]) -> str | None:
    """The same of the raw timings, which are long and which few read."""
    for name in WINDOWS:
        windows = timing.get(name, [])
        if type(windows) is not list or not all(
            type(window) is dict and _durations([window.get("sequences"), window.get("seconds")])
            for window in windows
        ):
            return f"timing.{name}"
    if not _durations(timing.get("latency_seconds", [])):
        return "timing.latency_seconds"
    steps = timing.get("step_latency_seconds", {"1": []})
    if type(steps) is not dict or "1" not in steps or not all(map(_durations, steps.values())):
        return "timing.step_latency_seconds"
    return None


def _of_details(details: Mapping[str, Any]) -> str | None:
    after = details.get("accuracy_after_step", [])
    if type(after) is not list or not all(type(value) in (int, float) for value in after):
        return "details.accuracy_after_step"
    counts = details.get("confusion", [])
    if type(counts) is not list or not all(
        type(row) is list and len(row) == len(counts) and all(type(n) is int for n in row) for row in counts
    ):
        return "details.confusion"
    for name in FLOWS:
        flow = details.get(name, {})
        if type(flow) is not dict or not all(
            type(norms) is list and all(type(norm) in NUMBER for norm in norms) for norms in flow.values()
        ):
            return f"details.{name}"
    return None


def _durations(found: object) -> bool:
    """Whether it is a list of what any work and any time is: a number above 0."""
    return type(found) is list and all(type(value) in (int, float) and value > 0 for value in found)


def _numbers(found: Mapping[str, Any]) -> bool:
    return all(type(value) in NUMBER for value in found.values())
