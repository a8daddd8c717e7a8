"""Jordan network."""

from harness.model.cell import CellSpec, Param, State

SPEC = CellSpec(
    name="jordan",
    title="Jordan network",
    paper=(
        "M. I. Jordan, Serial order: a parallel distributed processing approach, ICS Report 8604, UCSD, 1986"
    ),
    equations="""\
h_t = tanh(x_t W_xh + y_{t-1} W_yh + b_h)
y_t = tanh(h_t W_hy + b_y)""",
    variant=(
        "the output y, not the hidden state, is fed back; there are as many output units as hidden "
        "ones and they squash with tanh; the state units hold the last output alone (no "
        "self-recurrence); the layer's output is y."
    ),
    labels={"h": "hidden units", "y": "output units"},
    gates=("h", "y"),
    state=(State("y"),),
    params=(
        Param("W_xh", ("I", "H"), "input"),
        Param("W_yh", ("H", "H"), "recurrent"),
        Param("b_h", ("H",), "bias"),
        Param("W_hy", ("H", "H"), "input", reads="units"),
        Param("b_y", ("H",), "bias"),
    ),
)
