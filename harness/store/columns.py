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
JOULES = "J"
BY_TARGET = " by target"  # behind the unit of a column that holds one figure per target accuracy


@dataclass(frozen=True)
class Column:
    """`description` in words and the `unit`, then what reports need to know.

    `better`: whether more or less of it is better; "" where neither is. `compared`: whether `compare` divides
    or subtracts two sides; "" for a column that it does not compare. `timed`: other processes on the same
    cores change it. `seeded`: the seed determines it, so that runs with one seed belong together and a second
    run with that seed adds nothing. `counted`: known exactly, not measured. `of_windows`: computed from
    the rates of the training windows. `of_fastest`: of the fastest of them alone, which grows with their
    number: sides are compared over equally many.
    """

    description: str
    unit: str = ""
    better: Literal["more", "less", ""] = ""
    compared: Literal["ratio", "difference", ""] = ""
    timed: bool = False
    seeded: bool = False
    counted: bool = False
    of_windows: bool = False
    of_fastest: bool = False

    @property
    def machine_dependent(self) -> bool:
        """Whether it depends on the device and the number of threads."""
        return self.timed or self.unit == BYTES


def required(description: str, unit: str = "", *, counted: bool = False) -> Any:
    """A field that every record has."""
    return field(metadata={"column": Column(description, unit, counted=counted)})


def optional(*facts: Any, default: Any = None, **more: Any) -> Any:
    """A field with a default: None for what a run may end before reaching. The rest is for `Column`."""
    return field(default=default, metadata={"column": Column(*facts, **more)})


def part(kind: type, description: str, unit: str = "") -> Any:
    """A part of the document, empty by default."""
    return field(default_factory=kind, metadata={"column": Column(description, unit)})


def accuracy(description: str) -> Any:
    return optional(description, SHARE, "more", "difference", seeded=True)


def loss(description: str) -> Any:
    return optional(description, "nats", "less", "difference", seeded=True)


def speed(description: str, unit: str = RATE, **more: bool) -> Any:
    """A rate, or a share of one."""
    return optional(description, unit, "more", "ratio", timed=True, **more)


def duration(description: str) -> Any:
    return optional(description, SECONDS, "less", "ratio", timed=True)


def by_target(description: str, unit: str, *, timed: bool = False) -> Any:
    """A mapping that holds the cost of reaching each target accuracy."""
    return optional(description, unit + BY_TARGET, "less", "ratio", timed=timed, seeded=True)


def memory(description: str) -> Any:
    return optional(description, BYTES, "less", "ratio")


def energy(description: str) -> Any:
    return optional(description, JOULES, "less", "ratio", timed=True)


def parity(description: str) -> Any:
    return optional(description, RELATIVE, "less", "ratio", seeded=True)
