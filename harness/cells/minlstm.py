"""Minimal long short-term memory."""

from harness.model.cell import CellSpec, Param, State

SPEC = CellSpec(
    name="minlstm",
    title="Minimal long short-term memory",
    paper="L. Feng et al., Were RNNs all we needed?, 2024 (arXiv:2410.01201)",
    equations="""\
f_t = σ(x_t W_xf + b_f)
i_t = σ(x_t W_xi + b_i)
n_t = x_t W_xn + b_n
h_t = (f_t ∘ h_{t-1} + i_t ∘ n_t) / (f_t + i_t)""",
    variant=(
        "gates normalised to a sum of one, linear candidate, not the one in logarithms; no output "
        "gate, as in the paper; the forget gate's bias starts at 1 with `init=keras`. The gates do "
        "not see the state, so that all steps can be computed at once by a parallel scan; see "
        "`harness/cells/mingru.py`."
    ),
    labels={"f": "forget gate", "i": "input gate", "n": "candidate"},
    gates=("f", "i", "n"),
    state=(State("h"),),
    params=(
        Param("W_xf", ("I", "H"), "input"),
        Param("b_f", ("H",), "bias", 1.0),
        Param("W_xi", ("I", "H"), "input"),
        Param("b_i", ("H",), "bias"),
        Param("W_xn", ("I", "H"), "input"),
        Param("b_n", ("H",), "bias"),
    ),
)
