"""Multilayer perceptron."""

from harness.model.cell import CellSpec, Choice, Param

SPEC = CellSpec(
    name="mlp",
    title="Multilayer perceptron",
    paper=(
        "D. E. Rumelhart, G. E. Hinton, R. J. Williams, Learning representations by back-"
        "propagating errors, Nature 323, 1986"
    ),
    equations="""\
h = φ(Σ_t x_t W_xh[t] + b_h)""",
    variant=(
        "the control without recurrence: the flattened sequence through one hidden layer with weights "
        "of its own for every step; φ is ReLU or tanh (`cell.activation`)."
    ),
    gates=("h",),
    state=(),
    params=(Param("W_xh", ("T", "I", "H"), "input", applied="once"), Param("b_h", ("H",), "bias")),
    options={"activation": Choice(("relu", "tanh"), "φ")},
    refuses={
        "layers": "it is one hidden layer",
        "bidirectional": "it reads all steps at once",
        "readout": "it gives one output, not one per step",
        "initial_state": "it has no state",
        "truncate": "it has no state to carry from chunk to chunk",
        "stream": "it reads all steps at once",
        "gradient_flow": "it has no state h_t",
    },
    single_output=True,
)
