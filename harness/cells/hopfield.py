"""Continuous Hopfield network."""

from harness.model.cell import CellSpec, Integer, Number, Param, State

SPEC = CellSpec(
    name="hopfield",
    title="Continuous Hopfield network",
    paper=(
        "J. J. Hopfield, Neurons with graded response have collective computational properties like those "
        "of two-state neurons, PNAS 81, 1984"
    ),
    equations="""\
S = (W_hh + W_hhᵀ) / 2
u ← u + δ (-u + tanh(u) S + x_t W_xh + b_h)
h_t = tanh(u_t)""",
    variant=(
        "the network relaxes for n = `cell.substeps` Euler steps of length δ = `cell.step_size` "
        "towards the input that is clamped to it, then the next row comes; the recurrent weights are "
        "symmetric by construction, the diagonal is free; all time constants are 1, the gain function "
        "is tanh."
    ),
    gates=("u",),
    state=(State("u"),),
    params=(
        Param("W_xh", ("I", "H"), "input"),
        Param("W_hh", ("H", "H"), "symmetric", applied="substep"),
        Param("b_h", ("H",), "bias"),
    ),
    options={
        "substeps": Integer(1, 1000, "n, relaxation steps for each input"),
        "step_size": Number(0.0, 1.0, "δ, of a relaxation step"),
    },
    output_is_state=False,
)
