"""Recursive network over a balanced binary tree."""

from harness.model.cell import CellSpec, Param

SPEC = CellSpec(
    name="recursive",
    title="Recursive network over a balanced binary tree",
    paper=(
        "J. B. Pollack, Recursive distributed representations, Artificial Intelligence 46, 1990; "
        "R. Socher et al., Parsing natural scenes and natural language with recursive neural "
        "networks, ICML 2011"
    ),
    equations="""\
leaf:   h = tanh(x_t W_xh + b_h)
node:   h = tanh(a W_ah + b W_bh + b_c)
output: the root's h""",
    variant=(
        "the tree is fixed and balanced: neighbours are joined in pairs, level by level, and a last "
        "one without a neighbour goes up as it is; the composition's weights are shared by all nodes."
    ),
    gates=("h", "c"),
    state=(),
    params=(
        Param("W_xh", ("I", "H"), "input"),
        Param("b_h", ("H",), "bias"),
        Param("W_ah", ("H", "H"), "recurrent", applied="merge", reads="units"),
        Param("W_bh", ("H", "H"), "recurrent", applied="merge", reads="units"),
        Param("b_c", ("H",), "bias"),
    ),
    refuses={
        "layers": "a tree gives one output, not a sequence that a second layer could read",
        "bidirectional": "a tree has no direction",
        "readout": "a tree gives one output, its root's",
        "initial_state": "a tree carries no state from step to step",
        "truncate": "a tree carries no state from chunk to chunk",
        "stream": "its tree is known only when the sequence has ended",
    },
    single_output=True,
)
