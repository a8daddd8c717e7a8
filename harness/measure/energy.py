"""The energy that training takes: NVML's counter of a GPU's card, or RAPL's of the processor's packages.

RAPL: "Power Capping Framework" in the kernel's documentation. Its counters wrap around after some minutes at
the least, and most systems let only root read them. Both count what all processes together consume.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.errors import Unavailable
from harness.measure.devices import gpus
from harness.measure.machine import cores
from harness.measure.nvml import Device

POWERCAP = Path("/sys/class/powercap")
CORES = Path("/sys/devices/system/cpu")


class Counter(Protocol):
    """Counts joules from some moment on. `least_seconds`: what it must count for, since it is updated in
    steps."""

    least_seconds: float

    @property
    def description(self) -> dict[str, Any]: ...

    def joules(self) -> float:
        """Raises Unavailable."""

    def advance(self) -> None:
        """To be called every few minutes; raises Unavailable."""


class CardCounter:
    """The counter of a GPU's card."""

    least_seconds = 1.0  # power is updated some ten times a second: Yang et al., arXiv:2312.02741

    def __init__(self, name: str) -> None:
        """Raises Unavailable for a GPU that has none, and for a MIG instance."""
        self.device = Device(name)
        if self.device.is_mig:
            raise Unavailable("the card's counter is that of all its MIG instances together")
        self.joules()

    @property
    def description(self) -> dict[str, Any]:
        return {"meter": "NVML", "of": "the whole card, and nothing else of the machine"}

    def joules(self) -> float:
        return self.device.joules()

    def advance(self) -> None:
        """It has 64 bits and does not wrap around."""


class PackageCounters:
    """The counters of those packages of the processor on whose cores this process may run."""

    least_seconds = 0.05  # updated about every millisecond: Intel's Software Developer's Manual, 3B, 15.10

    def __init__(self) -> None:
        """Raises Unavailable where there are none, and where they cannot be read."""
        self.zones = [
            zone
            for zone in sorted(POWERCAP.glob("intel-rapl:*"))  # AMD's, too; others are parts of packages
            if (name := re.match(r"package-(\d+)", _read(zone / "name"))) and name[1] in _packages()
        ]
        if not self.zones:
            raise Unavailable(f"{POWERCAP} has no package of a processor with the run's cores")
        self.ranges = [_number(zone / "max_energy_range_uj") for zone in self.zones]
        self.counts = self._counts()
        self.microjoules = 0

    @property
    def description(self) -> dict[str, Any]:
        return {
            "meter": "RAPL",
            "of": "the processor's packages with the run's cores, and whatever other processes do on them",
            "zones": [_read(zone / "name") for zone in self.zones],
        }

    def joules(self) -> float:
        self.advance()
        return self.microjoules / 1e6

    def advance(self) -> None:
        """Counts on; a counter is noticed to wrap around once between two calls."""
        now = self._counts()
        self.microjoules += sum(
            (count - before) % (highest + 1)
            for count, before, highest in zip(now, self.counts, self.ranges, strict=True)
        )
        self.counts = now

    def _counts(self) -> list[int]:
        return [_number(zone / "energy_uj") for zone in self.zones]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error


def _packages() -> set[str]:
    """The numbers of the packages that have this process's cores."""
    return {_read(CORES / f"cpu{core}" / "topology" / "physical_package_id") for core in cores()}


def _number(path: Path) -> int:
    text = _read(path)
    if not text.isdecimal():
        raise Unavailable(f"{path}: {text!r} is not a number")
    return int(text)


class Meter:
    """Measures the energy of spans of training, each from `begin` to `end`.

    `details` says with what it is measured and whose energy that is, and the `reason` why it is not known.
    """

    def __init__(self, device: str) -> None:
        """For a session on `device`, in a process that is pinned to its cores and sees one GPU at most."""
        self.counter: Counter | None = None
        self.start: float | None = None
        self.details: dict[str, Any] = {}
        try:
            self.counter = _counter(device)
            self.details = self.counter.description | {"reason": "no training was measured"}
        except Unavailable as error:
            self._lose(error)

    def begin(self) -> None:
        self.start = self._joules()

    def advance(self) -> None:
        """To be called after every window."""
        if self.counter:
            try:
                self.counter.advance()
            except Unavailable as error:
                self._lose(error)

    def end(self) -> float | None:
        """Joules since `begin`; None where they are not known."""
        joules = self._joules()
        return None if joules is None or self.start is None else joules - self.start

    def columns(self, spans: Sequence[float | None], sequences: int, seconds: float) -> dict[str, Any]:
        """The record's columns on so many sequences that were trained on in spans of these joules and in so
        many seconds; where they are None, `details` says why."""
        joules = math.fsum(span for span in spans if span is not None)
        if self.counter:
            reason = self._doubt(spans, joules, seconds)
            self.details = self.counter.description | ({"reason": reason} if reason else {})
        known = "reason" not in self.details
        return {
            "energy_joules": joules if known else None,
            "joules_per_1000_sequences": 1000 * joules / sequences if known else None,
        }

    def _doubt(self, spans: Sequence[float | None], joules: float, seconds: float) -> str | None:
        """Why a sum of spans is no measurement; None where it is one."""
        assert self.counter is not None
        if None in spans:
            return "an earlier part of the run was not measured"
        if seconds < self.counter.least_seconds:
            return f"the counter's steps are too coarse for {seconds:.2g} s of training"
        return None if joules > 0 else "the counter stood still"

    def _joules(self) -> float | None:
        try:
            return self.counter.joules() if self.counter else None
        except Unavailable as error:
            self._lose(error)
            return None

    def _lose(self, error: Unavailable) -> None:
        self.counter, self.details = None, {"reason": str(error)}


def _counter(device: str) -> Counter:
    """Raises Unavailable where the device has no counter that can be read."""
    if device == "cpu":
        return PackageCounters()
    names = gpus()
    if not device.startswith("cuda") or not names:
        raise Unavailable(f"{device} has no counter of energy that is known here")
    return CardCounter(names[0])
