"""Minimal gated recurrent unit."""

from harness.model.cell import CellSpec, Param, State

SPEC = CellSpec(
    name="mingru",
    title="Minimal gated recurrent unit",
    paper="L. Feng et al., Were RNNs all we needed?, 2024 (arXiv:2410.01201)",
    equations="""\
z_t = σ(x_t W_xz + b_z)
n_t = x_t W_xn + b_n
h_t = (1 - z_t) ∘ h_{t-1} + z_t ∘ n_t""",
    variant=(
        "the one with a linear candidate (their first listing), not the one in logarithms. The gates "
        "do not see the state, so that all steps can be computed at once by a parallel scan over "
        "pairs (a, b) of h = a h' + b, which combine to (a₂ a₁, a₂ b₁ + b₂)."
    ),
    labels={"z": "update gate", "n": "candidate"},
    gates=("z", "n"),
    state=(State("h"),),
    params=(
        Param("W_xz", ("I", "H"), "input"),
        Param("b_z", ("H",), "bias"),
        Param("W_xn", ("I", "H"), "input"),
        Param("b_n", ("H",), "bias"),
    ),
)
