"""Which gates of a NumPy cell are stacked, in which order of rows.

A cell's file says with constants, each of which may be left out:

X_GATES            gates with an input side `x_t W_x· + b_·`, in the order of their rows
H_GATES            gates with a recurrent side `h_{t-1} W_h·`, h the first state
HALVED_GATES       gates of H_GATES whose rows come in halved, for σ(a) = (1 + tanh(a/2)) / 2
H_ONLY_IN_PRODUCT  True where h_{t-1} enters the step through the recurrent product alone, so that the
                   gradient by h_{t-1} is that of the product

The gates that end X_GATES and begin H_GATES are shared: their two sides are added by one product. A
parameter `b_h·` of a gate in H_GATES is a bias of the recurrent side, and is added by the product too.
"""

from types import ModuleType
from typing import NamedTuple

from harness.model.cell import CellSpec


class Gates(NamedTuple):
    """The gates of a cell. `h_biases` maps the name of a recurrent bias to the index of its gate in `h`."""

    x: tuple[str, ...]
    h: tuple[str, ...]
    shared: int
    halved: tuple[str, ...]
    h_biases: dict[str, int]

    @property
    def joint(self) -> bool:
        """Whether both sides have the same gates in the same order, so that they lie in one matrix."""
        return self.x == self.h


def gates_of(cell: ModuleType, spec: CellSpec) -> Gates:
    """The gates that a cell's file declares."""
    x: tuple[str, ...] = getattr(cell, "X_GATES", ())
    h: tuple[str, ...] = getattr(cell, "H_GATES", ())
    shared = next(n for n in range(min(len(x), len(h)), -1, -1) if x[len(x) - n :] == h[:n])
    names = {param.name for param in spec.params}
    h_biases = {f"b_h{gate}": k for k, gate in enumerate(h) if f"b_h{gate}" in names}
    return Gates(x, h, shared, getattr(cell, "HALVED_GATES", ()), h_biases)
