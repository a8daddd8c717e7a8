"""Independently recurrent network."""

from harness.model.cell import CellSpec, Param, State

SPEC = CellSpec(
    name="indrnn",
    title="Independently recurrent network",
    paper=(
        "S. Li et al., Independently recurrent neural network (IndRNN): building a longer and deeper RNN, "
        "CVPR 2018"
    ),
    equations="""\
h_t = max(0, x_t W_xh + u ∘ h_{t-1} + b_h)""",
    variant=(
        "the recurrent weights u are a vector, every unit sees its own past alone; ReLU; u starts "
        "uniform in [0, 1] with `init=keras` and `init=irnn`; no batch normalisation, no bound on u."
    ),
    gates=("h",),
    state=(State("h"),),
    params=(
        Param("W_xh", ("I", "H"), "input"),
        Param("u", ("H",), "diagonal", (0.0, 1.0)),
        Param("b_h", ("H",), "bias"),
    ),
)
