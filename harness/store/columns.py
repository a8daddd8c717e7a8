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


def metadata(column: Column) -> dict[str, Column]:
    """The metadata of a column's field."""
    return {"column": column}


def by_target(meaning: str, unit: str, *, timed: bool = False) -> dict[str, Column]:
    """The metadata of a mapping that holds the cost of reaching each target accuracy."""
    return metadata(Column(meaning, unit + BY_TARGET, "less", "ratio", timed=timed, seeded=True))


def required(meaning: str, unit: str = "", *, counted: bool = False) -> Any:
    """A field that every record has."""
    return field(metadata=metadata(Column(meaning, unit, counted=counted)))


def optional(meaning: str, unit: str = "", *, timed: bool = False, default: Any = None) -> Any:
    """A field with a default: None for what a run may end before reaching."""
    return field(default=default, metadata=metadata(Column(meaning, unit, timed=timed)))


def accuracy(meaning: str) -> Any:
    return field(default=None, metadata=metadata(Column(meaning, SHARE, "more", "difference", seeded=True)))


def loss(meaning: str) -> Any:
    return field(default=None, metadata=metadata(Column(meaning, "nats", "less", "difference", seeded=True)))


def speed(meaning: str, unit: str = RATE) -> Any:
    """A rate, or a share of one."""
    return field(default=None, metadata=metadata(Column(meaning, unit, "more", "ratio", timed=True)))


def duration(meaning: str) -> Any:
    return field(default=None, metadata=metadata(Column(meaning, SECONDS, "less", "ratio", timed=True)))


def memory(meaning: str) -> Any:
    return field(default=None, metadata=metadata(Column(meaning, BYTES, "less", "ratio")))


def parity(meaning: str) -> Any:
    return field(default=None, metadata=metadata(Column(meaning, RELATIVE, "less", "ratio", seeded=True)))
