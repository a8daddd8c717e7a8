"""What a cell is: names, shapes, roles, states and options, as data. No framework, no randomness.

Legend, here and everywhere: T time steps, B batch, I input features, H hidden units, K taps, C classes,
D directions (1 or 2), A units of the attention (as many as H).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal

Shape = tuple[int, ...]
Role = Literal[
    "input", "recurrent", "symmetric", "diagonal", "bias", "reservoir", "reservoir input", "initial state"
]
Applied = Literal["step", "substep", "merge", "once"]  # T, T·substeps, T-1 and 1 times a sequence
Reads = Literal["layer", "state", "units", ""]
Value = str | int | float


@dataclass(frozen=True)
class Param:
    """One canonical parameter: its name, its shape in the legend's letters, its role.

    `initial` is where an initialiser starts what it does not draw as a matrix: a number, or the bounds
    of a uniform distribution. `applied` says how often a sequence is multiplied by it, and `reads` what is:
    the inputs of the `layer`, the `state` before a step, or `units` that trained parameters gave in the same
    step; left out, it follows from the role.
    """

    name: str
    shape: tuple[str, ...]
    role: Role
    initial: float | tuple[float, float] = 0.0
    trained: bool = True
    applied: Applied = "step"
    reads: Reads = ""

    @property
    def multiplies(self) -> Reads:
        """What a matrix multiplies: as `reads` says, else by its role."""
        recurrent = self.role in ("recurrent", "symmetric", "reservoir")
        return self.reads or ("state" if recurrent else "layer")


@dataclass(frozen=True)
class State:
    """What a cell carries from step to step, one vector per sequence: name and length in the legend's
    letters ("H", "(K-1)·I", "1"). A `counter` starts at zero and is never learned."""

    name: str
    size: str = "H"
    counter: bool = False


@dataclass(frozen=True)
class Choice:
    """An option that is one of several words; `description` says what it decides."""

    allowed: tuple[str, ...]
    description: str


@dataclass(frozen=True)
class Integer:
    """An option that is a whole number between two bounds, both allowed."""

    low: int
    high: int
    description: str


@dataclass(frozen=True)
class Number:
    """An option that is a number above `low` (or equal, if not `open_low`) and up to `high`."""

    low: float
    high: float
    description: str
    open_low: bool = True


Option = Choice | Integer | Number


@dataclass(frozen=True)
class CellSpec:
    """A recurrent cell, as data.

    `gates` are the names of its pre-activations, `options` what its configuration offers beside
    `hidden`. `refuses` names what has no meaning for it, with the reason: "layers", "bidirectional",
    "readout", "initial_state", "truncate", "stream", "gradient_flow". `penalty` is a state whose mean
    over sequences and steps is added to the loss, times the option that weighs it. `single_output`
    cells turn a sequence into one output, not one per step. `output_is_state` says that the output of a step
    is the first state after it. `variant` says which of the published forms this is, and `labels` names the
    quantities of the equations: {"f": "forget gate"}.
    """

    name: str
    title: str
    paper: str
    equations: str
    gates: tuple[str, ...]
    state: tuple[State, ...]
    params: tuple[Param, ...]
    options: Mapping[str, Option] = field(default_factory=dict)
    refuses: Mapping[str, str] = field(default_factory=dict)
    penalty: tuple[str, str] | None = None
    single_output: bool = False
    output_is_state: bool = True
    variant: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def gate(name: str, *, initial_bias: float = 0.0, reads: Reads = "state") -> tuple[Param, Param, Param]:
    """The three canonical parameters of one gate: `W_x· (I, H)`, `W_h· (H, H)`, `b_· (H,)`. `reads` is what
    `W_h·` multiplies."""
    return (
        Param(f"W_x{name}", ("I", "H"), "input"),
        Param(f"W_h{name}", ("H", "H"), "recurrent", reads=reads),
        Param(f"b_{name}", ("H",), "bias", initial_bias),
    )


def cell_spec(name: str) -> CellSpec:
    """The `SPEC` of `harness/cells/<name>.py`; raises ModuleNotFoundError where there is none."""
    spec: CellSpec = import_module(f"harness.cells.{name}").SPEC
    return spec
