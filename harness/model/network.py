"""What a model is: a stack of one cell over a sequence and a readout, as names, shapes and counts.

Legend: see `harness.model.cell`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from harness.model.cell import CellSpec, Param, Shape, State, Value, cell_spec

READOUTS = ("last", "mean", "max", "attention")
INITIAL_STATES = ("zeros", "learned")


class Flops(NamedTuple):
    """FLOPs of the products with one matrix that a sequence takes in training."""

    forward: int
    by_inputs: int  # the gradient by what is multiplied
    by_weights: int


@dataclass(frozen=True)
class ModelSpec:
    """A stack of one cell over a sequence `(B, T, I)`, read out into `C` logits.

    Each layer runs in one or two directions; the next layer reads both side by side (forward first).
    The readout is linear in one vector (D·H) per sequence, which is

    last       what each direction gave after its own whole pass: the forward output at the last time
               step and the backward output at the first
    mean, max  over all outputs y_t
    attention  Σ_t α_t y_t with α = softmax_t(v · tanh(y_t W + b)): additive attention over the outputs
               (Bahdanau et al. 2015), A = H

    `initial_state="learned"` trains one start for all sequences; `dropout` sets that share of the
    outputs of every layer but the last to zero in training, and scales up the rest.
    """

    cell: str
    steps: int
    features: int
    hidden: int
    classes: int
    layers: int = 1
    bidirectional: bool = False
    readout: str = "last"
    initial_state: str = "zeros"
    dropout: float = 0.0
    options: Mapping[str, Value] = field(default_factory=dict)

    @property
    def spec(self) -> CellSpec:
        return cell_spec(self.cell)

    @property
    def directions(self) -> tuple[str, ...]:
        return ("forward", "backward") if self.bidirectional else ("forward",)

    @property
    def width(self) -> int:
        """Outputs of a layer per time step, D·H."""
        return len(self.directions) * self.hidden

    def layer_features(self, layer: int) -> int:
        """Inputs of a layer per time step: I for the first, D·H above it."""
        return self.features if layer == 0 else self.width

    def blocks(self) -> list[tuple[str, int]]:
        """(canonical prefix, input features) of every layer and direction, from the input upwards."""
        return [
            (f"layers.{layer}.{direction}", self.layer_features(layer))
            for layer in range(self.layers)
            for direction in self.directions
        ]

    def state_sizes(self, features: int) -> dict[str, int]:
        """State name -> its length, for a layer that reads so many features."""
        return {state.name: self._size(state, features) for state in self.spec.state}

    def states(self) -> dict[str, int]:
        """Canonical state name (`layers.0.forward.h`) -> its length."""
        return {
            f"{prefix}.{name}": size
            for prefix, features in self.blocks()
            for name, size in self.state_sizes(features).items()
        }

    def learned_states(self) -> tuple[str, ...]:
        """Names of the states whose start is trained: none of them with `initial_state="zeros"`."""
        if self.initial_state == "zeros":
            return ()
        return tuple(state.name for state in self.spec.state if not state.counter)

    def cell_shapes(self, features: int) -> dict[str, Shape]:
        """Shapes of a cell's own parameters, in a layer that reads so many features."""
        sizes = self._sizes(features)
        return {param.name: tuple(sizes[s] for s in param.shape) for param in self.spec.params}

    def params(self) -> dict[str, tuple[Param, Shape]]:
        """Canonical name -> (the parameter's description, its shape), in canonical order.

        Every layer and direction has the cell's parameters and then, where it is learned, the start of
        its states (`layers.0.forward.initial_h`).
        """
        params: dict[str, tuple[Param, Shape]] = {}
        for prefix, features in self.blocks():
            shapes = self.cell_shapes(features)
            for param in self.spec.params:
                params[f"{prefix}.{param.name}"] = (param, shapes[param.name])
            lengths = self.state_sizes(features)
            for state in self.spec.state:
                if state.name in self.learned_states():
                    param = Param(f"initial_{state.name}", (state.size,), "initial state")
                    params[f"{prefix}.{param.name}"] = (param, (lengths[state.name],))
        sizes = self._sizes(self.features)
        for name, param in READOUT[self.readout == "attention"].items():
            params[name] = (param, tuple(sizes[s] for s in param.shape))
        return params

    def shapes(self) -> dict[str, Shape]:
        """Canonical name -> shape, in canonical order."""
        return {name: shape for name, (_, shape) in self.params().items()}

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(shape) for param, shape in self.params().values() if param.trained)

    @property
    def flops_per_sequence(self) -> int:
        """FLOPs of one sequence's forward pass: two for each multiply-add of its matrix products.

        Element-wise work is left out, as is usual.
        """
        return sum(each.forward for each in self.flops().values())

    def training_flops_per_sequence(self, truncate: int | None = None) -> int:
        """FLOPs of one sequence in training by gradient, in chunks of `truncate` steps; see `flops`."""
        return sum(map(sum, self.flops(truncate).values()))

    def flops(self, truncate: int | None = None) -> dict[str, Flops]:
        """Canonical name of every matrix -> its products in training, in chunks of `truncate` steps.

        These are the products that reverse-mode differentiation of the equations makes. The data needs no
        gradient, nor does a chunk's first state, unless it is learned, nor anything that depends on nothing
        trained. A weight that is not trained has none either. All steps count, whatever the readout reads.
        """
        chunks = math.ceil(self.steps / truncate) if truncate else 1
        learned = bool(self.learned_states())
        trained = any(param.trained for param in self.spec.params)
        reached = chunks if trained else int(learned)  # chunks in which the layers' outputs have a gradient
        flops = {}
        for name, (param, shape) in self.params().items():
            if len(shape) < 2:
                continue
            count = self._products(param, self.steps, chunks)
            back = count
            if reached < chunks and param.multiplies != "units":
                back = self._products(param, truncate or self.steps, 1) * reached
            if param.multiplies == "state":
                back -= reached - learned  # the first product of a chunk, unless its start is learned
            elif param.multiplies == "layer" and name.startswith("layers.0."):
                back = 0
            each = 2 * math.prod(shape)
            flops[name] = Flops(each * count, each * back, each * count * param.trained)
        return flops

    def _products(self, param: Param, steps: int, chunks: int) -> int:
        """How often one sequence of so many steps, read in chunks, is multiplied by a matrix."""
        substeps = int(self.options.get("substeps", 1))
        return {"step": steps, "substep": steps * substeps, "merge": steps - 1, "once": chunks}[param.applied]

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "options": dict(self.options)}, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "ModelSpec":
        values: dict[str, Any] = json.loads(text)
        return ModelSpec(**values)

    def _sizes(self, features: int) -> dict[str, int]:
        taps = int(self.options.get("taps", 1))
        H, C = self.hidden, self.classes
        return {"T": self.steps, "I": features, "H": H, "K": taps, "DH": self.width, "A": H, "C": C}

    def _size(self, state: State, features: int) -> int:
        sizes = self._sizes(features)
        return {"H": sizes["H"], "(K-1)·I": (sizes["K"] - 1) * sizes["I"], "1": 1}[state.size]


_LINEAR = {
    "readout.W": Param("W", ("DH", "C"), "input", applied="once"),
    "readout.b": Param("b", ("C",), "bias"),
}
_ATTENTION = {
    "attention.W": Param("W", ("DH", "A"), "input"),
    "attention.b": Param("b", ("A",), "bias"),
    "attention.v": Param("v", ("A",), "diagonal", (-0.1, 0.1)),
}
_WEIGHED = {"readout.W": Param("W", ("DH", "C"), "input", applied="once", reads="units")}
READOUT = {False: _LINEAR, True: _ATTENTION | _LINEAR | _WEIGHED}  # by whether there is an attention
