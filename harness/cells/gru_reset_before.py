"""Gated recurrent unit (reset before the product)."""

from harness.model.cell import CellSpec, State, gate

SPEC = CellSpec(
    name="gru_reset_before",
    title="Gated recurrent unit (reset before the product)",
    paper=(
        "K. Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine "
        "translation, EMNLP 2014 (arXiv:1406.1078v3)"
    ),
    equations="""\
r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)
z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)
n_t = tanh(x_t W_xn + (r_t ∘ h_{t-1}) W_hn + b_n)
h_t = (1 - z_t) ∘ n_t + z_t ∘ h_{t-1}""",
    variant=(
        "the reset gate multiplies the state before the matrix product, so that the candidate's "
        "product waits for it. This is what `keras.layers.GRU(reset_after=False)` computes."
    ),
    labels={"r": "reset gate", "z": "update gate", "n": "candidate"},
    gates=("r", "z", "n"),
    state=(State("h"),),
    params=(*gate("r"), *gate("z"), *gate("n", reads="units")),
)
