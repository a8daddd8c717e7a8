"""Neural history compressor."""

from harness.model.cell import CellSpec, Number, Param, State, gate

SPEC = CellSpec(
    name="history_compressor",
    title="Neural history compressor",
    paper=(
        "J. Schmidhuber, Learning complex, extended sequences using the principle of history "
        "compression, Neural Computation 4(2), 1992"
    ),
    equations="""\
p_t = l_{t-1} W_lx + b_x
e_t = mean_i (x_t - p_t)_i²
s_t = 1 if e_t > θ else 0
l_t = tanh(x_t W_xl + l_{t-1} W_ll + b_l)
h_t = s_t tanh(x_t W_xh + h_{t-1} W_hh + b_h) + (1 - s_t) h_{t-1}
loss = cross-entropy + λ mean_t e_t""",
    variant=(
        "two levels, trained together; θ is `cell.threshold`, λ `cell.prediction_weight`; the "
        "prediction is linear with squared error; the upper net gets the surprising row itself, "
        "without the time that has passed; no gradient flows through s_t, so the lower net learns "
        "from its predictions alone. The states `error` and `surprises` count Σ e_t and Σ s_t."
    ),
    labels={
        "p": "the lower net's prediction of x_t",
        "e": "its error",
        "s": "surprise",
        "l": "lower net, every step",
        "h": "upper net",
    },
    gates=("l", "x", "h"),
    state=(State("h"), State("l"), State("error", "1", counter=True), State("surprises", "1", counter=True)),
    params=(
        *gate("h"),
        Param("W_xl", ("I", "H"), "input"),
        Param("W_ll", ("H", "H"), "recurrent"),
        Param("b_l", ("H",), "bias"),
        Param("W_lx", ("H", "I"), "input", reads="state"),
        Param("b_x", ("I",), "bias"),
    ),
    options={
        "threshold": Number(
            0.0, 1e6, "θ, the mean squared error above which an input is a surprise", open_low=False
        ),
        "prediction_weight": Number(0.0, 1e6, "λ, of the mean prediction error in the loss"),
    },
    refuses={"layers": "its two levels are the stack; a second layer would predict outputs that are trained"},
    penalty=("error", "prediction_weight"),
)
