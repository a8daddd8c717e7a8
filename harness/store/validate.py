"""What the parts of a record may hold as JSON, and checks of it as far as the harness relies on it."""

import math
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

NUMBER = frozenset({int, float, NoneType})  # one that was not finite is null
WINDOWS = ("windows", "inference_windows")
FLOWS = ("gradient_flow_before", "gradient_flow_after")


def json_types(hint: Any) -> frozenset[type]:
    """What JSON may hold where a field has that annotation."""
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    plain = {get_origin(part) or part for part in parts}
    return frozenset(plain | {int}) if float in plain else frozenset(plain)


def finite(value: Any) -> Any:
    """The value with None in place of every number that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def invalid_part(values: Mapping[str, Any], by_target: Sequence[str]) -> str | None:
    """The name of a part that does not hold what it should; None if all do.

    The columns' own types were checked before; `by_target` are those with a number for each target accuracy.
    """
    for name in by_target:
        if not _numbers(values.get(name) or {}):
            return name
    if not all(type(entry) is dict and _numbers(entry) for entry in values.get("history", [])):
        return "history"
    versions = values.get("environment", {}).get("versions", {})
    if type(versions) is not dict or not all(type(version) is str for version in versions.values()):
        return "environment.versions"
    return _invalid_detail(values.get("details", {}))


def invalid_timing(timing: Mapping[str, Any]) -> str | None:
    """The same for the raw timings, which are long: only those who read them check them."""
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


def _invalid_detail(details: Mapping[str, Any]) -> str | None:
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


def _durations(values: object) -> bool:
    """Whether it is a list of numbers above 0, as any work and any time is."""
    return type(values) is list and all(type(value) in (int, float) and value > 0 for value in values)


def _numbers(values: Mapping[str, Any]) -> bool:
    return all(type(value) in NUMBER for value in values.values())
