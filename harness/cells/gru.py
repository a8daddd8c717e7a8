"""Gated recurrent unit, reset gate after the matrix product."""

from harness.model.cell import CellSpec, Param, State, gate

SPEC = CellSpec(
    name="gru",
    title="Gated recurrent unit (reset after the product)",
    paper=(
        "K. Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine "
        "translation, EMNLP 2014 (arXiv:1406.1078v1)"
    ),
    equations="""\
r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)
z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)
n_t = tanh(x_t W_xn + b_n + r_t ∘ (h_{t-1} W_hn + b_hn))
h_t = (1 - z_t) ∘ n_t + z_t ∘ h_{t-1}""",
    variant=(
        "the reset gate multiplies the product, so that one matrix product serves all three gates; "
        "the candidate then has a recurrent bias of its own, b_hn. This is what `nn.GRU` and "
        "`keras.layers.GRU(reset_after=True)` compute."
    ),
    labels={"r": "reset gate", "z": "update gate", "n": "candidate"},
    gates=("r", "z", "n"),
    state=(State("h"),),
    params=(*gate("r"), *gate("z"), *gate("n"), Param("b_hn", ("H",), "bias")),
)
