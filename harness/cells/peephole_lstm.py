"""Long short-term memory with peepholes."""

from harness.model.cell import CellSpec, Param, State, gate

SPEC = CellSpec(
    name="peephole_lstm",
    title="Long short-term memory with peepholes",
    paper=(
        "F. Gers, N. Schraudolph, J. Schmidhuber, Learning precise timing with LSTM recurrent "
        "networks, JMLR 3, 2002"
    ),
    equations="""\
i_t = σ(x_t W_xi + h_{t-1} W_hi + p_i ∘ c_{t-1} + b_i)
f_t = σ(x_t W_xf + h_{t-1} W_hf + p_f ∘ c_{t-1} + b_f)
g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)
c_t = f_t ∘ c_{t-1} + i_t ∘ g_t
o_t = σ(x_t W_xo + h_{t-1} W_ho + p_o ∘ c_t + b_o)
h_t = o_t ∘ tanh(c_t)""",
    variant=(
        "the peepholes p_i, p_f, p_o are vectors, each gate sees its own cell alone; input and forget "
        "gate see the old cell state, the output gate the new one; gradients flow through them (in "
        "the paper they do not); the candidate and the output squash with tanh; the forget gate's "
        "bias starts at 1 with `init=keras`."
    ),
    labels={"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"},
    gates=("i", "f", "g", "o"),
    state=(State("h"), State("c")),
    params=(
        *gate("i"),
        *gate("f", initial_bias=1.0),
        *gate("g"),
        *gate("o"),
        Param("p_i", ("H",), "diagonal"),
        Param("p_f", ("H",), "diagonal"),
        Param("p_o", ("H",), "diagonal"),
    ),
)
