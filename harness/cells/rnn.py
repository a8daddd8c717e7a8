"""The Elman network."""

from harness.model.cell import CellSpec, Choice, State, gate

SPEC = CellSpec(
    name="rnn",
    title="Elman network",
    paper="J. L. Elman, Finding structure in time, Cognitive Science 14(2), 1990",
    equations="h_t = φ(x_t W_xh + h_{t-1} W_hh + b_h)",
    variant="the output is the hidden state itself; φ is tanh or ReLU.",
    gates=("h",),
    state=(State("h"),),
    params=gate("h"),
    options={"activation": Choice(("tanh", "relu"), "φ")},
)
