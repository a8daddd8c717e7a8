"""What a column of the record holds and how reports treat it: the metadata of the record's fields.

Every figure is summed up over runs by its arithmetic mean. A comparison as a ratio divides geometric means
instead, so that A over B is the inverse of B over A.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

SHARE = "0 … 1"
UNBOUNDED_SHARE = "share"  # may exceed 1
SHARES = (SHARE, UNBOUNDED_SHARE)
RELATIVE = "relative"  # a distance from the reference, at the level of rounding
RATE = "sequences/s"
FLOP = "FLOP"
FLOPS = "FLOP/s"
SECONDS = "s"
BYTES = "bytes"
BY_TARGET = " by target"  # behind the unit of a column that holds one figure per target accuracy


@dataclass(frozen=True)
class Column:
    """`meaning` in words and the `unit`, then what reports need to know.

    `better`: whether more or less of it is better; "" where neither is. `compared`: whether `compare` divides
    or subtracts two sides; "" for a column that it does not compare. `timed`: other processes on the same
    cores change it. `seeded`: the seed determines it, so that runs with one seed belong together and a second
    run with that seed adds nothing. `counted`: known exactly, not measured.
    """

    meaning: str
    unit: str = ""
    better: Literal["more", "less", ""] = ""
    compared: Literal["ratio", "difference", ""] = ""
    timed: bool = False
    seeded: bool = False
    counted: bool = False

    @property
    def machine_dependent(self) -> bool:
        """Whether it depends on the device and the number of threads."""
        return self.timed or self.unit == BYTES


def required(meaning: str, unit: str = "", *, counted: bool = False) -> Any:
    """A field that every record has."""
    return field(metadata={"column": Column(meaning, unit, counted=counted)})


def optional(*facts: Any, default: Any = None, **more: Any) -> Any:
    """A field with a default: None for what a run may end before reaching. The rest is for `Column`."""
    return field(default=default, metadata={"column": Column(*facts, **more)})


def part(kind: type, meaning: str, unit: str = "") -> Any:
    """A part of the document, empty by default."""
    return field(default_factory=kind, metadata={"column": Column(meaning, unit)})


def accuracy(meaning: str) -> Any:
    return optional(meaning, SHARE, "more", "difference", seeded=True)


def loss(meaning: str) -> Any:
    return optional(meaning, "nats", "less", "difference", seeded=True)


def speed(meaning: str, unit: str = RATE) -> Any:
    """A rate, or a share of one."""
    return optional(meaning, unit, "more", "ratio", timed=True)


def duration(meaning: str) -> Any:
    return optional(meaning, SECONDS, "less", "ratio", timed=True)


def by_target(meaning: str, unit: str, *, timed: bool = False) -> Any:
    """A mapping that holds the cost of reaching each target accuracy."""
    return optional(meaning, unit + BY_TARGET, "less", "ratio", timed=timed, seeded=True)


def memory(meaning: str) -> Any:
    return optional(meaning, BYTES, "less", "ratio")


def parity(meaning: str) -> Any:
    return optional(meaning, RELATIVE, "less", "ratio", seeded=True)
