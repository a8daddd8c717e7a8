"""Finite impulse recurrent network."""

from harness.model.cell import CellSpec, Choice, Integer, Param, State

SPEC = CellSpec(
    name="fir",
    title="Finite impulse recurrent network",
    paper=(
        "A. Waibel et al., Phoneme recognition using time-delay neural networks, IEEE Trans. ASSP 37(3), 1989"
    ),
    equations="""\
h_t = φ(Σ_{k<K} x_{t-k} W_xh[k] + b_h)""",
    variant=(
        "a tapped delay line of K = `cell.taps` inputs, the present one included; φ is tanh or ReLU "
        "(`cell.activation`). It forgets after K steps for good, and unrolls into a feed-forward "
        "network. The state is the K - 1 inputs before the present one, oldest first."
    ),
    gates=("h",),
    state=(State("taps", "(K-1)·I"),),
    params=(Param("W_xh", ("K", "I", "H"), "input"), Param("b_h", ("H",), "bias")),
    options={
        "taps": Integer(1, 784, "K, inputs that an output sees, the present one included"),
        "activation": Choice(("tanh", "relu"), "φ"),
    },
)
