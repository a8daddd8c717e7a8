"""Continuous-time recurrent network."""

from harness.model.cell import CellSpec, Integer, Param, State

SPEC = CellSpec(
    name="ctrnn",
    title="Continuous-time recurrent network",
    paper=(
        "K. Funahashi, Y. Nakamura, Approximation of dynamical systems by continuous time "
        "recurrent neural networks, Neural Networks 6(6), 1993"
    ),
    equations="""\
dh/dt = -h / τ + tanh(h) W_hh + x_t W_xh + b_h
h ← h + (dh/dt) / n
h_t = h""",
    variant=(
        "an input lasts one unit of time, cut into n = `cell.substeps` Euler steps; every unit has a "
        "time constant τ of its own, trained through its logarithm and so always positive, which "
        "starts at 1; the output is the internal state h itself, as in the paper; σ is tanh."
    ),
    gates=("h",),
    state=(State("h"),),
    params=(
        Param("W_xh", ("I", "H"), "input"),
        Param("W_hh", ("H", "H"), "recurrent", applied="substep"),
        Param("b_h", ("H",), "bias"),
        Param("log_tau", ("H",), "diagonal"),
    ),
    options={"substeps": Integer(1, 1000, "n, Euler steps in the time of one input")},
)
