"""Long short-term memory with a forget gate."""

from harness.model.cell import CellSpec, State, gate

SPEC = CellSpec(
    name="lstm",
    title="Long short-term memory",
    paper=(
        "S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 9(8), 1997; forget "
        "gate: F. Gers, J. Schmidhuber, F. Cummins, Learning to forget, Neural Computation 12(10), 2000"
    ),
    equations="""\
i_t = σ(x_t W_xi + h_{t-1} W_hi + b_i)
f_t = σ(x_t W_xf + h_{t-1} W_hf + b_f)
g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)
o_t = σ(x_t W_xo + h_{t-1} W_ho + b_o)
c_t = f_t ∘ c_{t-1} + i_t ∘ g_t
h_t = o_t ∘ tanh(c_t)""",
    variant="no peepholes, no projection; the forget gate's bias starts at 1 with `init=keras`.",
    labels={"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"},
    gates=("i", "f", "g", "o"),
    state=(State("h"), State("c")),
    params=(*gate("i"), *gate("f", initial_bias=1.0), *gate("g"), *gate("o")),
)
