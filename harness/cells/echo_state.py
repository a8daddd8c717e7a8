"""Echo state network."""

from harness.model.cell import CellSpec, Number, Param, State

SPEC = CellSpec(
    name="echo_state",
    title="Echo state network",
    paper=(
        "H. Jaeger, The “echo state” approach to analysing and training recurrent neural networks, GMD "
        "Report 148, 2001; leaky units: H. Jaeger et al., Neural Networks 20(3), 2007"
    ),
    equations="""\
h_t = (1 - α) h_{t-1} + α tanh(x_t W_xh + h_{t-1} W_hh + b_h)""",
    variant=(
        "α is `cell.leak`; W_xh, W_hh and b_h are drawn once and stay as they are, only the readout "
        "is trained; W_hh is sparse (`cell.density`) and scaled to `cell.spectral_radius`, W_xh and "
        "b_h are uniform within ±`cell.input_scale`, whatever `init` says; no feedback from the "
        "readout."
    ),
    gates=("h",),
    state=(State("h"),),
    params=(
        Param("W_xh", ("I", "H"), "reservoir input", trained=False),
        Param("W_hh", ("H", "H"), "reservoir", trained=False),
        Param("b_h", ("H",), "reservoir input", trained=False),
    ),
    options={
        "spectral_radius": Number(0.0, 100.0, "of W_hh"),
        "density": Number(0.0, 1.0, "share of the connections in W_hh that exist"),
        "leak": Number(0.0, 1.0, "α; 1 is no memory but the recurrence's"),
        "input_scale": Number(0.0, 100.0, "the largest weight of W_xh and b_h"),
    },
)
