"""Simple recurrent unit."""

from harness.model.cell import CellSpec, Param, State

SPEC = CellSpec(
    name="sru",
    title="Simple recurrent unit",
    paper="T. Lei et al., Simple recurrent units for highly parallelizable recurrence, EMNLP 2018",
    equations="""\
f_t = σ(x_t W_xf + v_f ∘ c_{t-1} + b_f)
r_t = σ(x_t W_xr + v_r ∘ c_{t-1} + b_r)
c_t = f_t ∘ c_{t-1} + (1 - f_t) ∘ (x_t W_xn)
h_t = r_t ∘ c_t + (1 - r_t) ∘ (x_t W_xk)""",
    variant=(
        "the published one, whose gates see the old cell state through vectors v_f and v_r; the "
        "highway carries a projection of the input, since its width is not H; no scaling correction; "
        "the forget gate's bias starts at 1 with `init=keras`. The output h is not carried: c alone "
        "is."
    ),
    labels={"f": "forget gate", "r": "reset gate", "h": "highway"},
    gates=("f", "r", "n", "k"),
    state=(State("c"),),
    params=(
        Param("W_xf", ("I", "H"), "input"),
        Param("v_f", ("H",), "diagonal"),
        Param("b_f", ("H",), "bias", 1.0),
        Param("W_xr", ("I", "H"), "input"),
        Param("v_r", ("H",), "diagonal"),
        Param("b_r", ("H",), "bias"),
        Param("W_xn", ("I", "H"), "input"),
        Param("W_xk", ("I", "H"), "input"),
    ),
    output_is_state=False,
)
